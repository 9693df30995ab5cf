//! Webhook deliveries: which are due, held or given up, and how each attempt is signed
//! (<https://docs.stripe.com/webhooks>).

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Real seconds before the second, third and fourth attempt. A sandbox of Stripe's takes hours; a
/// developer does not.
const RETRY_SECONDS: [u64; 3] = [5, 30, 120];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DeliveryState {
    InFlight,
    /// Waits for the next attempt, at this real time in Unix milliseconds.
    Retry {
        due: u64,
    },
    /// Waits until somebody asks for it.
    Held,
}

/// One event, or a raw body, on its way to one endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Delivery {
    pub(super) id: u64,
    pub(super) event: String,
    pub(super) kind: String,
    /// Sent as it is instead of the event.
    pub(super) raw: Option<String>,
    pub(super) url: String,
    /// Attempts that have failed.
    pub(super) failures: usize,
    pub(super) state: DeliveryState,
    /// The version that it is labelled with instead of the endpoint's.
    #[serde(default)]
    pub(super) version: Option<String>,
}

impl Delivery {
    /// Counts a failed attempt. `false` means that it was the last.
    pub(super) fn postpone(&mut self, now_milliseconds: u64) -> bool {
        let wait = RETRY_SECONDS.get(self.failures);
        self.failures = self.failures.saturating_add(1);
        if let Some(seconds) = wait {
            let due = now_milliseconds.saturating_add(seconds.saturating_mul(1_000));
            self.state = DeliveryState::Retry { due };
        }
        wait.is_some()
    }

    pub(super) fn is_due(&self, now_milliseconds: u64) -> bool {
        matches!(self.state, DeliveryState::Retry { due } if due <= now_milliseconds)
    }
}

/// How the events of the near future are delivered; tests bend it.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DeliveryPlan {
    /// How often each event is sent, all at once.
    pub(super) copies: usize,
    /// Never sent, as when the endpoint was unreachable for days.
    pub(super) drop: bool,
    /// Sent only when `deliver_due` asks for it.
    pub(super) hold: bool,
    /// The API call that caused an event is answered after the event was delivered.
    #[serde(alias = "beforeAnswer")]
    pub(super) before_answer: bool,
    /// The event types meant; empty means all.
    pub(super) types: Vec<String>,
}

impl Default for DeliveryPlan {
    fn default() -> Self {
        Self {
            copies: 1,
            drop: false,
            hold: false,
            before_answer: false,
            types: Vec::new(),
        }
    }
}

impl DeliveryPlan {
    /// The plan for one event type: this one, or the default when it is not meant.
    pub(super) fn of(&self, kind: &str) -> Self {
        if self.types.is_empty() || self.types.iter().any(|name| name == kind) {
            self.clone()
        } else {
            Self::default()
        }
    }
}

/// The `Stripe-Signature` of `body` at Unix second `now`: one `v1` per secret, since two are valid
/// while one is rolled. The whole secret, `whsec_` included, is the key.
pub(super) fn signature<'secret>(
    secrets: impl Iterator<Item = &'secret str>,
    now: i64,
    body: &str,
) -> String {
    let mut header = format!("t={now}");
    for secret in secrets {
        // An HMAC takes a key of any length.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
            mac.update(format!("{now}.{body}").as_bytes());
            header.push_str(",v1=");
            header.push_str(&hex::encode(mac.finalize().into_bytes()));
        }
    }
    header
}
