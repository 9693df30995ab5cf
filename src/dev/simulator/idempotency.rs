//! Idempotency keys: one execution per key, its answer kept for a day
//! (<https://docs.stripe.com/api/idempotent_requests>).

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::refusal::Refusal;

const KEY_CHARACTERS_MAX: usize = 255;
/// Below this many keys, those that are too old are left where they are.
const KEYS_UNPRUNED_MAX: usize = 10_000;
const KEPT_SECONDS: i64 = 24 * 60 * 60;

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

/// The answer of the first execution.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KeptAnswer {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) request_id: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    fingerprint: Fingerprint,
    at: i64,
    /// `None` while the first request is running.
    answer: Option<KeptAnswer>,
}

/// Claims `key` for a request that is about to execute, or finds the answer of the one that did.
pub(super) fn claim(
    account: &mut Account,
    key: &str,
    fingerprint: Fingerprint,
    now: i64,
) -> Result<Option<KeptAnswer>, Refusal> {
    if key.is_empty() || key.chars().count() > KEY_CHARACTERS_MAX {
        return Err(Refusal::new(
            400,
            "idempotency_error",
            format!("Idempotency keys must be between 1 and {KEY_CHARACTERS_MAX} characters long."),
        ));
    }
    let oldest = now.saturating_sub(KEPT_SECONDS);
    if account.kept.len() > KEYS_UNPRUNED_MAX {
        account.kept.retain(|_, kept| kept.at > oldest);
    }
    if let Some(kept) = account.kept.get(key).filter(|kept| kept.at > oldest) {
        return recall(key, kept, &fingerprint);
    }
    let kept = Kept {
        fingerprint,
        at: now,
        answer: None,
    };
    account.kept.insert(key.to_owned(), kept);
    Ok(None)
}

fn recall(
    key: &str,
    kept: &Kept,
    fingerprint: &Fingerprint,
) -> Result<Option<KeptAnswer>, Refusal> {
    if kept.fingerprint != *fingerprint {
        return Err(Refusal::new(
            400,
            "idempotency_error",
            format!(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. \
                 Try using a key other than '{key}' if you meant to execute a different request."
            ),
        ));
    }
    if kept.answer.is_none() {
        return Err(Refusal::new(
            409,
            "idempotency_error",
            format!(
                "There is currently another in-progress request using this Idempotent Key: {key}"
            ),
        )
        .code("idempotency_key_in_use"));
    }
    Ok(kept.answer.clone())
}

/// Keeps the answer for `key`, or frees the key when nothing was executed.
pub(super) fn conclude(account: &mut Account, key: &str, answer: Option<KeptAnswer>) {
    match answer {
        None => {
            account.kept.remove(key);
        }
        Some(answer) => {
            if let Some(kept) = account.kept.get_mut(key) {
                kept.answer = Some(answer);
            }
        }
    }
}

/// Keys whose request was cut off by a restart are free again.
pub(super) fn forget_running(account: &mut Account) {
    account.kept.retain(|_, kept| kept.answer.is_some());
}
