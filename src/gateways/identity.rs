//! Session tokens: RS256, checked against the issuer's public keys, which are fetched and kept.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::config::IdentityConfig;
use crate::domain::refusal::Refusal;
use crate::domain::user::{Role, User, UserId};
use crate::error::{Error, Result};

/// How far the issuer's clock may be from ours.
const LEEWAY: TimeDelta = TimeDelta::seconds(60);
/// An unknown key asks the issuer again at most this often, so that forged tokens cannot make us
/// flood it.
const REFRESH_FLOOR: TimeDelta = TimeDelta::seconds(30);
/// Keys are fetched again after this, so that one that was withdrawn stops counting.
const KEYS_AGE_MAX: TimeDelta = TimeDelta::hours(1);
/// How long the issuer may take to answer.
const FETCH_MAX: Duration = Duration::from_secs(5);
/// The longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// The longest mail address. <https://www.rfc-editor.org/errata/eid1690>
const ADDRESS_BYTES_MAX: usize = 254;

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

#[derive(Deserialize)]
struct Claims {
    sub: String,
    iss: String,
    exp: i64,
    nbf: Option<i64>,
    azp: Option<String>,
    email: Option<String>,
    name: Option<String>,
    #[serde(default)]
    metadata: serde_json::Value,
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

    /// The user of a session token. Refuses with `unauthenticated` a token that is not valid at
    /// `now`; an error if the issuer's keys cannot be had.
    ///
    /// `azp` is checked where the token has one, as Clerk's own libraries do
    /// (<https://clerk.com/docs/guides/sessions/manual-jwt-verification>).
    pub async fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<User> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refused("The session token is too long."));
        }
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| refused("The session token is not a JWT."))?;
        let key_id = header
            .kid
            .ok_or_else(|| refused("The session token names no key."))?;
        let keys = self.keys_with(&key_id, now).await?;
        let key = keys.by_id.get(&key_id).ok_or_else(|| {
            refused("The session token is signed with a key that the issuer does not have.")
        })?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.required_spec_claims.clear();
        // The times are checked below, against our own clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let token = jsonwebtoken::decode::<Claims>(token, key, &validation);
        let claims = token
            .map_err(|_| refused("The signature of the session token is not valid."))?
            .claims;
        self.check(&claims, now)?;
        Ok(claims.user())
    }

    /// Whether the issuer's keys are at hand, fetching them if they are not.
    pub async fn ready(&self, now: DateTime<Utc>) -> Result<()> {
        match self.kept() {
            Some(_) => Ok(()),
            None => self.refresh(|_| false, now).await.map(drop),
        }
    }

    fn check(&self, claims: &Claims, now: DateTime<Utc>) -> Result<()> {
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        let is_expired = at(claims.exp).is_none_or(|end| now.signed_duration_since(end) >= LEEWAY);
        let is_early = claims.nbf.is_some_and(|start| {
            at(start).is_none_or(|start| start.signed_duration_since(now) > LEEWAY)
        });
        let is_foreign = claims
            .azp
            .as_ref()
            .is_some_and(|party| !self.config.authorized_parties.contains(party));
        if is_expired {
            Err(refused("The session token has expired."))
        } else if is_early {
            Err(refused("The session token is not valid yet."))
        } else if claims.iss.trim_end_matches('/') != self.config.issuer {
            Err(refused("The session token is from another issuer."))
        } else if is_foreign {
            Err(refused(
                "The session token was made for another application.",
            ))
        } else if !(1..=255).contains(&claims.sub.len()) || claims.sub.contains('\0') {
            Err(refused("The session token names no user."))
        } else {
            Ok(())
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

impl Claims {
    fn user(self) -> User {
        let is_admin = self.metadata.get("role").and_then(|role| role.as_str()) == Some("admin");
        // What the database cannot hold is no address and no name.
        let clean =
            |text: Option<String>| text.filter(|text| !text.is_empty() && !text.contains('\0'));
        User {
            id: UserId(self.sub),
            email: clean(self.email).filter(|email| is_address(email)),
            name: clean(self.name),
            role: if is_admin { Role::Admin } else { Role::User },
        }
    }
}

/// Whether a mail could reach it. With one that is none, Stripe would refuse the whole payment
/// page.
fn is_address(email: &str) -> bool {
    let plain =
        !email.contains(|character: char| character.is_whitespace() || character.is_control());
    let parts = email
        .split_once('@')
        .filter(|_| plain && email.len() <= ADDRESS_BYTES_MAX);
    parts.is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.contains('@')
            && domain.contains('.')
            && domain.split('.').all(|label| !label.is_empty())
    })
}

fn refused(sentence: &'static str) -> Error {
    Refusal::Unauthenticated(sentence).into()
}
