//! A charge of Stripe's: one try to take money, and by what other objects name it.

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
