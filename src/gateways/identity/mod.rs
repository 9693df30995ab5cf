//! Session tokens: RS256, checked against the issuer's public keys, which are fetched and kept.

mod claims;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::crypto::verify;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use tokio::sync::Mutex;

use claims::Claims;

use crate::config::IdentityConfig;
use crate::domain::refusal::Refusal;
use crate::domain::user::User;
use crate::error::{Error, Result};

/// What Clerk signs with.
const ALGORITHM: Algorithm = Algorithm::RS256;
/// An unknown key asks the issuer again at most this often, so that forged tokens cannot make us
/// flood it.
const REFRESH_FLOOR: TimeDelta = TimeDelta::seconds(30);
/// Keys are fetched again after this, so that one that was withdrawn stops counting.
const KEYS_AGE_MAX: TimeDelta = TimeDelta::hours(1);
/// How long the issuer may take to answer.
const FETCH_MAX: Duration = Duration::from_secs(5);
/// The longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Checks session tokens of one issuer.
pub struct IdentityProvider {
    http: reqwest::Client,
    config: IdentityConfig,
    keys: RwLock<Option<Arc<Keys>>>,
    /// Held while the keys are fetched, so that one request asks and the others wait for its
    /// answer.
    fetching: Mutex<()>,
}

struct Keys {
    by_id: HashMap<String, DecodingKey>,
    fetched_at: DateTime<Utc>,
}

/// The keys one by one: a key of a kind that is not known here must not hide the others.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

impl IdentityProvider {
    /// For the issuer of `config`; nothing is fetched yet.
    pub fn new(config: &IdentityConfig) -> Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(FETCH_MAX)
            .build()
            .map_err(|error| Error::fault(format!("no HTTP client: {error}")))?;
        Ok(Self {
            http,
            config: config.clone(),
            keys: RwLock::new(None),
            fetching: Mutex::new(()),
        })
    }

    /// The user of the first of these session tokens that stands at `now`. Where none does, refuses
    /// the first with `unauthenticated`; an error if the issuer's keys cannot be had.
    pub async fn verify(&self, tokens: &[&str], now: DateTime<Utc>) -> Result<User> {
        let mut refusal = None;
        for token in tokens {
            match self.user(token, now).await {
                Err(Error::Refusal(error)) => refusal = refusal.or(Some(error)),
                found => return found,
            }
        }
        let refusal = refusal.unwrap_or(Refusal::Unauthenticated("There is no session token."));
        Err(refusal.into())
    }

    async fn user(&self, token: &str, now: DateTime<Utc>) -> Result<User> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refused("The session token is too long."));
        }
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| refused("The session token is not a JWT."))?;
        if header.alg != ALGORITHM {
            return Err(refused("The session token is not signed with RS256."));
        }
        let key_id = header
            .kid
            .ok_or_else(|| refused("The session token names no key."))?;
        let keys = self.keys_with(&key_id, now).await?;
        let key = keys.by_id.get(&key_id).ok_or_else(|| {
            refused("The session token is signed with a key that the issuer does not have.")
        })?;
        check_signature(token, key)?;
        // `decode` would read the registered claims by rules of its own, which refuse lawful ones.
        let claims = insecure_decode_claims::<Claims>(token)
            .map_err(|_| refused("The claims of the session token cannot be read."))?;
        claims.user(&self.config, now)
    }

    /// Whether the issuer's keys are at hand, fetching them if they are not.
    pub async fn ready(&self, now: DateTime<Utc>) -> Result<()> {
        match self.kept() {
            Some(_) => Ok(()),
            None => self.refresh(|_| false, now).await.map(drop),
        }
    }

    fn kept(&self) -> Option<Arc<Keys>> {
        self.keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The keys, fetched again where they are old or do not have `key_id`, but not more often than
    /// the floor allows.
    async fn keys_with(&self, key_id: &str, now: DateTime<Utc>) -> Result<Arc<Keys>> {
        let will_do = |keys: &Keys| {
            let age = now.signed_duration_since(keys.fetched_at);
            // A clock that was ahead must not keep them for as long as it was.
            let is_of_now = (TimeDelta::zero()..=KEYS_AGE_MAX).contains(&age);
            is_of_now && (keys.by_id.contains_key(key_id) || age < REFRESH_FLOOR)
        };
        match self.kept() {
            Some(keys) if will_do(&keys) => Ok(keys),
            _ => Box::pin(self.refresh(will_do, now)).await,
        }
    }

    /// Fetches the keys unless others have meanwhile fetched what `will_do`. Where the issuer does
    /// not answer, the old ones go on counting.
    async fn refresh(
        &self,
        will_do: impl Fn(&Keys) -> bool,
        now: DateTime<Utc>,
    ) -> Result<Arc<Keys>> {
        let _fetching = self.fetching.lock().await;
        let old = self.kept();
        if let Some(keys) = old.as_ref().filter(|keys| will_do(keys)) {
            return Ok(Arc::clone(keys));
        }
        let by_id = match (self.fetch().await, old) {
            (Ok(by_id), _) => by_id,
            (Err(error), Some(old)) => {
                tracing::warn!("keeping the issuer's old keys: {error}");
                old.by_id.clone()
            }
            (Err(error), None) => return Err(error),
        };
        let fetched_at = now;
        let keys = Arc::new(Keys { by_id, fetched_at });
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&keys));
        Ok(keys)
    }

    async fn fetch(&self) -> Result<HashMap<String, DecodingKey>> {
        let url = &self.config.jwks_url;
        let body = self.get(url).await.map_err(|error| {
            let reason = error.without_url();
            Error::IdentityUnavailable(format!("{url}: {reason}"))
        })?;
        let set: KeySet = serde_json::from_slice(&body)
            .map_err(|error| Error::IdentityUnavailable(format!("{url} is no JWKS: {error}")))?;
        Ok(set.keys.into_iter().filter_map(rsa_key).collect())
    }

    async fn get(&self, url: &str) -> reqwest::Result<Vec<u8>> {
        let response = self.http.get(url).send().await?;
        let body = response.error_for_status()?.bytes().await?;
        Ok(body.to_vec())
    }
}

/// The key with its id, if it can check tokens of RS256.
fn rsa_key(key: serde_json::Value) -> Option<(String, DecodingKey)> {
    let key: Jwk = serde_json::from_value(key).ok()?;
    let is_rsa = matches!(key.algorithm, AlgorithmParameters::RSA(_));
    let usable = DecodingKey::from_jwk(&key).ok().filter(|_| is_rsa)?;
    Some((key.common.key_id?, usable))
}

fn check_signature(token: &str, key: &DecodingKey) -> Result<()> {
    let (message, signature) = token
        .rsplit_once('.')
        .ok_or_else(|| refused("The session token is not a JWT."))?;
    if verify(signature, message.as_bytes(), key, ALGORITHM).is_ok_and(|stands| stands) {
        Ok(())
    } else {
        Err(refused("The signature of the session token is not valid."))
    }
}

fn refused(sentence: &'static str) -> Error {
    Refusal::Unauthenticated(sentence).into()
}
