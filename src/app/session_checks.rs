//! Session checks: asking Stripe how a session stands.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::domain::ids::AttemptId;

/// Which attempts Stripe is being asked about in this process, so that all who want to know share
/// one check and its answer. What is shared with other processes is when it was asked last.
#[derive(Default)]
pub struct SessionChecks(Mutex<HashMap<AttemptId, watch::Receiver<DateTime<Utc>>>>);

impl SessionChecks {
    /// What closes when the check of `id` is over, and says then when Stripe may be asked again;
    /// with the sender that keeps it open for whoever has to make the check, because nobody else is
    /// at it. What it says is `again_at`, unless the sender knows better.
    pub fn join(
        &self,
        id: AttemptId,
        again_at: DateTime<Utc>,
    ) -> (
        watch::Receiver<DateTime<Utc>>,
        Option<watch::Sender<DateTime<Utc>>>,
    ) {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, check| check.has_changed().is_ok());
        if let Some(check) = under_way.get(&id) {
            return (check.clone(), None);
        }
        let (sender, check) = watch::channel(again_at);
        under_way.insert(id, check.clone());
        (check, Some(sender))
    }
}
