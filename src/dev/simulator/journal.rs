//! What was asked and what was delivered: bounded logs that tests and developers read.

use std::collections::VecDeque;

use serde::Serialize;

const RECORDS_MAX: usize = 10_000;

/// The newest records of one kind.
#[derive(Debug)]
pub(super) struct Journal<T>(VecDeque<T>);

impl<T> Default for Journal<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Journal<T> {
    pub(super) fn push(&mut self, record: T) {
        if self.0.len() >= RECORDS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(record);
    }

    /// Oldest first.
    pub(super) fn records(&self) -> &VecDeque<T> {
        &self.0
    }

    pub(super) fn newest_mut(&mut self, wanted: impl Fn(&T) -> bool) -> Option<&mut T> {
        self.0.iter_mut().rev().find(|record| wanted(record))
    }
}

/// One API request; `status` stays empty when it was not answered.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestRecord {
    pub(super) request_id: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) raw: String,
    pub(super) idempotency_key: Option<String>,
    pub(super) stripe_version: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) fault: Option<String>,
}

/// One attempt to deliver an event; without a status the endpoint did not answer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeliveryRecord {
    pub(super) event_id: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) url: String,
    pub(super) attempt: usize,
    /// `acknowledged`, `failed` or `dropped`.
    pub(super) outcome: &'static str,
    pub(super) status: Option<u16>,
    pub(super) error: Option<String>,
}
