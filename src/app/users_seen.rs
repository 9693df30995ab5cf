//! Users who need not be stored again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::user::{User, UserId};

/// How many users are remembered as stored: a few megabytes.
const USERS_SEEN_MAX: usize = 20_000;

/// Remembers which users are stored as their tokens describe them, which saves a round trip per
/// request.
#[derive(Default)]
pub struct UsersSeen(Mutex<HashMap<UserId, User>>);

impl UsersSeen {
    /// Whether the user, or something that their token says, is not known to be stored.
    pub fn is_new(&self, user: &User) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&user.id)
            != Some(user)
    }

    /// Remembers the user as stored. When too many are remembered, all are forgotten.
    pub fn remember(&self, user: &User) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= USERS_SEEN_MAX {
            seen.clear();
        }
        seen.insert(user.id.clone(), user.clone());
    }
}
