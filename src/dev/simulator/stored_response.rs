//! What is stored under an idempotency key: the request that it was first used for, and the
//! response to it.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KeyUse {
    pub(super) fingerprint: Fingerprint,
    pub(super) at: i64,
    /// `None` while the first request is running.
    pub(super) response: Option<StoredResponse>,
}

/// What a key was first used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    path: String,
    pairs: Vec<(String, String)>,
}

impl Fingerprint {
    /// Parameters are compared decoded and in any order.
    pub(super) fn new(path: &str, mut pairs: Vec<(String, String)>) -> Self {
        pairs.sort();
        Self {
            path: path.to_owned(),
            pairs,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredResponse {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) request_id: String,
}
