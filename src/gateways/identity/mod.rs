//! Session tokens: RS256, checked against the issuer's public keys.

mod claims;
mod keys;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use jsonwebtoken::crypto::verify;
use jsonwebtoken::{Algorithm, DecodingKey};

use claims::Claims;
use keys::IssuerKeys;

use crate::config::IdentityConfig;
use crate::domain::refusal::Refusal;
use crate::domain::user::User;
use crate::error::{Error, Result};

/// What Clerk signs with.
const ALGORITHM: Algorithm = Algorithm::RS256;
/// The longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Checks session tokens of one issuer.
pub struct IdentityProvider {
    config: IdentityConfig,
    keys: Arc<IssuerKeys>,
}

impl IdentityProvider {
    /// For the issuer of `config`; nothing is fetched yet.
    pub fn new(config: &IdentityConfig) -> Result<Self> {
        Ok(Self {
            config: config.clone(),
            keys: Arc::new(IssuerKeys::new(&config.jwks_url)?),
        })
    }

    /// The user of the first of these session tokens that stands at `now`, by the keys at hand:
    /// nobody is asked.
    ///
    /// Where none does, refuses the first with `unauthenticated`; [`Error::IdentityUnavailable`] if
    /// the issuer may have the key of one of them.
    pub fn recognise(&self, tokens: &[&str], now: DateTime<Utc>) -> Result<User> {
        let (mut refusal, mut unchecked) = (None, None);
        for token in tokens {
            match self.user(token, now) {
                Ok(user) => return Ok(user),
                Err(error @ Error::IdentityUnavailable(_)) => unchecked = Some(error),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        let why = unchecked.or(refusal);
        Err(why.unwrap_or_else(|| refused("There is no session token.")))
    }

    /// The same; the issuer is asked once where its word is needed, and not more often than it can
    /// take.
    pub async fn identify(&self, tokens: &[&str], now: DateTime<Utc>) -> Result<User> {
        match self.recognise(tokens, now) {
            Err(Error::IdentityUnavailable(_)) => {
                self.keys.join(now).await;
                self.recognise(tokens, now)
            }
            found => found,
        }
    }

    /// Whether there are keys of the issuer at hand. Where there are none, the issuer is asked,
    /// which takes a second if it hangs.
    pub async fn ready(&self, now: DateTime<Utc>) -> Result<()> {
        if self.keys.any(now).is_err() {
            self.keys.join(now).await;
        }
        self.keys.any(now)
    }

    /// Fetches the keys when it is time to, so that requests seldom have to.
    pub async fn keep_keys(&self, now: DateTime<Utc>) {
        if self.keys.are_due(now) {
            self.keys.ask(now).await;
        }
    }

    fn user(&self, token: &str, now: DateTime<Utc>) -> Result<User> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refused("The session token is too long."));
        }
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| refused("The session token is not a JWT."))?;
        // None is known here. <https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11>
        if header.crit.is_some() {
            return Err(refused(
                "The session token has extensions that are not known here.",
            ));
        }
        if header.alg != ALGORITHM {
            return Err(refused("The session token is not signed with RS256."));
        }
        let key_id = header
            .kid
            .ok_or_else(|| refused("The session token names no key."))?;
        // `decode` would read the registered claims by rules of its own, which refuse lawful ones.
        let claims = Claims::read(token)
            .ok_or_else(|| refused("The claims of the session token cannot be read."))?;
        // Of claims that do not stand, no issuer need be asked who has signed them.
        let user = claims.user(&self.config, now)?;
        check_signature(token, &*self.keys.find(&key_id, now)?)?;
        Ok(user)
    }
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
