//! Session checks: asking Stripe how a session stands.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::domain::ids::AttemptId;

/// Which attempts Stripe is being asked about in this process, so that all who want to know share
/// one check.
#[derive(Default)]
pub struct SessionChecks(Mutex<HashMap<AttemptId, watch::Receiver<()>>>);

impl SessionChecks {
    /// What closes when the check of `id` is over; with the sender that keeps it open for whoever
    /// has to make it, because nobody else is at it.
    pub fn join(&self, id: AttemptId) -> (watch::Receiver<()>, Option<watch::Sender<()>>) {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, check| check.has_changed().is_ok());
        if let Some(check) = under_way.get(&id) {
            return (check.clone(), None);
        }
        let (sender, check) = watch::channel(());
        under_way.insert(id, check.clone());
        (check, Some(sender))
    }
}
