//! What the issuer and its server have in common.

use std::sync::atomic::AtomicUsize;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::key::SigningKey;

/// A few pages in front of the API: shows, seats, and where a buyer comes back to from paying.
#[derive(Clone, Debug)]
pub struct Site {
    /// Where the API is, without `/api`: `http://localhost:3000`. It has to allow the issuer's URL
    /// as an origin.
    pub api: String,
}

pub(super) struct SharedIssuer {
    pub(super) url: String,
    pub(super) site: Option<Site>,
    pub(super) jwks_requests: AtomicUsize,
    key: RwLock<SigningKey>,
}

impl SharedIssuer {
    pub(super) fn new(url: String, key: SigningKey, site: Option<Site>) -> Self {
        Self {
            url,
            site,
            jwks_requests: AtomicUsize::new(0),
            key: RwLock::new(key),
        }
    }

    pub(super) fn key(&self) -> RwLockReadGuard<'_, SigningKey> {
        // The key is replaced as a whole, so a panic elsewhere cannot have left half of one.
        self.key.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn replace_key(&self, key: SigningKey) {
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = key;
    }
}
