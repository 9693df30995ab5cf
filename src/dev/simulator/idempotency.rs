//! Idempotency keys: one execution per key, its response stored for a day
//! (<https://docs.stripe.com/api/idempotent_requests>).

use super::account::Account;
use super::refusal::Refusal;
use super::stored_response::{Fingerprint, KeyUse, StoredResponse};

const KEY_CHARACTERS_MAX: usize = 255;
/// Below this many keys, those that are too old are left where they are.
const KEYS_UNPRUNED_MAX: usize = 10_000;
const STORED_SECONDS: i64 = 24 * 60 * 60;

/// Claims `key` for a request that is about to execute, or finds the response to the one that did.
pub(super) fn claim(
    account: &mut Account,
    key: &str,
    fingerprint: Fingerprint,
    now: i64,
) -> Result<Option<StoredResponse>, Refusal> {
    if key.is_empty() || key.chars().count() > KEY_CHARACTERS_MAX {
        return Err(Refusal::new(
            400,
            "idempotency_error",
            format!("Idempotency keys must be between 1 and {KEY_CHARACTERS_MAX} characters long."),
        ));
    }
    let oldest = now.saturating_sub(STORED_SECONDS);
    if account.key_uses.len() > KEYS_UNPRUNED_MAX {
        account.key_uses.retain(|_, first| first.at > oldest);
    }
    if let Some(first) = account.key_uses.get(key).filter(|first| first.at > oldest) {
        return recall(key, first, &fingerprint);
    }
    let first = KeyUse {
        fingerprint,
        at: now,
        response: None,
    };
    account.key_uses.insert(key.to_owned(), first);
    Ok(None)
}

fn recall(
    key: &str,
    first: &KeyUse,
    fingerprint: &Fingerprint,
) -> Result<Option<StoredResponse>, Refusal> {
    if first.fingerprint != *fingerprint {
        return Err(Refusal::new(
            400,
            "idempotency_error",
            format!(
                "Keys for idempotent requests can only be used with the same parameters they were \
                 first used with. Try using a key other than '{key}' if you meant to execute a \
                 different request."
            ),
        ));
    }
    if first.response.is_none() {
        return Err(Refusal::new(
            409,
            "idempotency_error",
            format!(
                "There is currently another in-progress request using this Idempotent Key: {key}"
            ),
        )
        .code("idempotency_key_in_use"));
    }
    Ok(first.response.clone())
}

/// Stores the response under `key`, or frees the key when nothing was executed.
pub(super) fn conclude(account: &mut Account, key: &str, response: Option<StoredResponse>) {
    match response {
        None => {
            account.key_uses.remove(key);
        }
        Some(response) => {
            if let Some(first) = account.key_uses.get_mut(key) {
                first.response = Some(response);
            }
        }
    }
}

/// Keys whose request was cut off by a restart are free again.
pub(super) fn forget_running(account: &mut Account) {
    account.key_uses.retain(|_, first| first.response.is_some());
}
