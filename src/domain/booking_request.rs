//! What a buyer asks for, before anything is held for him.

use serde::{Deserialize, Serialize};

use super::idempotency::IdempotencyKey;
use super::ids::ShowId;
use super::user::User;

/// Who wants which seats, and how he comes to pay.
#[derive(Debug, Clone)]
pub struct BookingRequest {
    /// The buyer.
    pub user: User,
    /// The show.
    pub show_id: ShowId,
    /// Labels, each named once.
    pub seats: Vec<String>,
    /// Where he pays.
    pub ui: Ui,
    /// The front end that he comes from.
    pub origin: String,
    /// The idempotency key of his request.
    pub key: Option<IdempotencyKey>,
}

/// Where the buyer pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Ui {
    /// On Stripe's page.
    #[default]
    Hosted,
    /// On Stripe's form inside the front end's page.
    Embedded,
    /// On the front end's own form, of Stripe's elements.
    Custom,
}

impl Ui {
    /// The word that is stored with the attempt.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hosted => "hosted",
            Self::Embedded => "embedded",
            Self::Custom => "custom",
        }
    }
}
