//! A charge of Stripe's: one try to take money, by what other objects name it, and what the buyer
//! has tried with.

use chrono::{DateTime, Utc};

/// By what an object of Stripe's names the charge that it is about, as far as it does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ChargeReference {
    /// `ch_…`
    pub charge_id: Option<String>,
    /// `pi_…`: what brought the charge.
    pub payment_intent_id: Option<String>,
}

impl ChargeReference {
    /// Whether it names anything.
    pub fn names_one(&self) -> bool {
        self.charge_id.is_some() || self.payment_intent_id.is_some()
    }
}

/// What a buyer pays with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentMethod {
    /// Stripe's word, such as `card` or `sepa_debit`.
    pub kind: String,
    /// Whose card it is, such as `visa`.
    pub brand: Option<String>,
    /// The last four digits of the card or account.
    pub last4: Option<String>,
}

/// What Stripe says of a charge that has succeeded, beside that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargeReport {
    /// `ch_…`
    pub charge_id: String,
    /// `pi_…`
    pub payment_intent_id: String,
    /// What the buyer has paid with.
    pub method: Option<PaymentMethod>,
    /// Stripe's own receipt.
    pub receipt_url: Option<String>,
    /// When Stripe said this.
    pub reported_at: DateTime<Utc>,
}

/// A try to pay that did not succeed. The buyer may try again, and the booking stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedPayment {
    /// `ch_…`, if there was a charge.
    pub charge_id: Option<String>,
    /// `pi_…`
    pub payment_intent_id: String,
    /// Why, in Stripe's words, such as `card_declined`.
    pub code: Option<String>,
    /// Why the bank has declined, such as `insufficient_funds`.
    pub decline_code: Option<String>,
    /// What the buyer has tried with.
    pub method: Option<PaymentMethod>,
    /// When.
    pub failed_at: DateTime<Utc>,
}
