//! What a buyer pays with: the test numbers, what becomes of each, and how they are shown
//! (<https://docs.stripe.com/testing>).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ids;
use super::refusal::Refusal;
use super::table::Row;

/// What happens when the method is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Behaviour {
    Succeeds,
    /// Succeeds, and its refunds stay pending until they are settled.
    RefundsSlowly,
    /// The outcome is known days later.
    Delayed,
    Declined(Decline),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Decline {
    Generic,
    InsufficientFunds,
    LostCard,
    StolenCard,
    Expired,
    IncorrectCvc,
    ProcessingError,
    IncorrectNumber,
    NotATestCard,
}

impl Decline {
    /// The error that the buyer's confirmation gets.
    pub(super) fn refusal(self) -> Refusal {
        let (code, decline_code, message) = match self {
            Self::Generic => (
                "card_declined",
                Some("generic_decline"),
                "Your card was declined.",
            ),
            Self::InsufficientFunds => (
                "card_declined",
                Some("insufficient_funds"),
                "Your card has insufficient funds.",
            ),
            Self::LostCard => (
                "card_declined",
                Some("lost_card"),
                "Your card was declined.",
            ),
            Self::StolenCard => (
                "card_declined",
                Some("stolen_card"),
                "Your card was declined.",
            ),
            Self::Expired => ("expired_card", None, "Your card has expired."),
            Self::IncorrectCvc => (
                "incorrect_cvc",
                None,
                "Your card's security code is incorrect.",
            ),
            Self::ProcessingError => (
                "processing_error",
                None,
                "An error occurred while processing your card. Try again in a little bit.",
            ),
            Self::IncorrectNumber => ("incorrect_number", None, "Your card number is incorrect."),
            Self::NotATestCard => (
                "card_declined",
                Some("test_mode_live_card"),
                "Your card was declined. Your request was in test mode, but used a non test card.",
            ),
        };
        Refusal::card(code, decline_code, message)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PaymentMethod {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) behaviour: Behaviour,
    /// `card` or `sepa_debit`.
    pub(super) kind: String,
    brand: String,
    last4: String,
    pub(super) email: Option<String>,
    pub(super) name: Option<String>,
}

impl PaymentMethod {
    /// A card number, an IBAN, or one of Stripe's test tokens such as `tok_visa`.
    pub(super) fn new(number: &str, now: i64) -> Self {
        let number: String = number.chars().filter(|c| !c.is_whitespace()).collect();
        let number = from_token(&number).unwrap_or(&number);
        let iban = number.starts_with(|c: char| c.is_ascii_alphabetic());
        let last4 = number
            .char_indices()
            .rev()
            .nth(3)
            .and_then(|(place, _)| number.get(place..))
            .unwrap_or(number);
        Self {
            id: ids::object_id("pm"),
            created: now,
            behaviour: behaviour(number),
            kind: if iban { "sepa_debit" } else { "card" }.into(),
            brand: brand(number).into(),
            last4: last4.into(),
            email: None,
            name: None,
        }
    }

    pub(super) fn billing_details(&self) -> Value {
        json!({
            "address": {
                "city": null, "country": "DE", "line1": null, "line2": null, "postal_code": null,
                "state": null
            },
            "email": self.email, "name": self.name, "phone": null, "tax_id": null,
        })
    }

    /// `payment_method_details` of a charge of `amount`.
    pub(super) fn charge_details(&self, amount: i64) -> Value {
        if self.kind == "sepa_debit" {
            return json!({ "type": "sepa_debit", "sepa_debit": self.debit() });
        }
        json!({
            "type": "card",
            "card": {
                "amount_authorized": amount, "authorization_code": null, "brand": self.brand,
                "checks": {
                    "address_line1_check": null, "address_postal_code_check": null,
                    "cvc_check": "pass"
                },
                "country": "US", "exp_month": 12, "exp_year": 2034,
                "electronic_commerce_indicator": null,
                "extended_authorization": { "status": "disabled" },
                "fingerprint": "S1mulat0rCardPr1",
                "funding": "credit", "incremental_authorization": { "status": "unavailable" },
                "installments": null, "last4": self.last4, "mandate": null,
                "multicapture": { "status": "unavailable" }, "network": self.brand,
                "network_token": { "used": false }, "network_transaction_id": null,
                "overcapture": { "maximum_amount_capturable": amount, "status": "unavailable" },
                "regulated_status": null, "three_d_secure": null, "transaction_link_id": null,
                "wallet": null,
            },
        })
    }

    fn debit(&self) -> Value {
        json!({
            "bank_code": "37040044", "branch_code": "", "country": "DE",
            "fingerprint": "S1mulat0rIban001", "last4": self.last4, "mandate": null,
        })
    }
}

impl Row for PaymentMethod {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn render(&self) -> Value {
        let mut object = json!({
            "id": self.id, "object": "payment_method", "created": self.created, "livemode": false,
            "type": self.kind, "allow_redisplay": "unspecified", "customer": null,
            "customer_account": null, "metadata": {}, "billing_details": self.billing_details(),
        });
        let details = if self.kind == "sepa_debit" {
            json!({
                "bank_code": "37040044", "branch_code": "", "country": "DE",
                "fingerprint": "S1mulat0rIban001", "generated_from": null, "last4": self.last4,
            })
        } else {
            json!({
                "brand": self.brand,
                "checks": {
                    "address_line1_check": null, "address_postal_code_check": null,
                    "cvc_check": "pass"
                },
                "country": "US", "display_brand": self.brand, "exp_month": 12, "exp_year": 2034,
                "fingerprint": "S1mulat0rCardPr1", "funding": "credit", "generated_from": null,
                "last4": self.last4, "networks": { "available": [self.brand], "preferred": null },
                "regulated_status": null, "three_d_secure_usage": { "supported": true },
                "wallet": null,
            })
        };
        if let Value::Object(fields) = &mut object {
            fields.insert(self.kind.clone(), details);
        }
        object
    }
}

/// The number behind one of the tokens that the official command line uses.
fn from_token(token: &str) -> Option<&'static str> {
    match token {
        "tok_visa" | "pm_card_visa" => Some("4242424242424242"),
        "tok_mastercard" | "pm_card_mastercard" => Some("5555555555554444"),
        "tok_chargeDeclined" | "pm_card_chargeDeclined" => Some("4000000000000002"),
        "tok_chargeDeclinedInsufficientFunds" => Some("4000000000009995"),
        "tok_chargeDeclinedExpiredCard" => Some("4000000000000069"),
        _ => None,
    }
}

fn behaviour(number: &str) -> Behaviour {
    match number {
        "4242424242424242" | "4000056655665556" | "5555555555554444" | "378282246310005"
        | "4000002500003155" | "4000002760003184" => Behaviour::Succeeds,
        "4000000000007726" => Behaviour::RefundsSlowly,
        "DE89370400440532013000" => Behaviour::Delayed,
        "4000000000000002" => Behaviour::Declined(Decline::Generic),
        "4000000000009995" => Behaviour::Declined(Decline::InsufficientFunds),
        "4000000000009987" => Behaviour::Declined(Decline::LostCard),
        "4000000000009979" => Behaviour::Declined(Decline::StolenCard),
        "4000000000000069" => Behaviour::Declined(Decline::Expired),
        "4000000000000127" => Behaviour::Declined(Decline::IncorrectCvc),
        "4000000000000119" => Behaviour::Declined(Decline::ProcessingError),
        other if passes_luhn(other) => Behaviour::Declined(Decline::NotATestCard),
        _ => Behaviour::Declined(Decline::IncorrectNumber),
    }
}

/// The check digit that a mistyped card number fails.
fn passes_luhn(number: &str) -> bool {
    let mut sum: u32 = 0;
    for (place, character) in number.chars().rev().enumerate() {
        let Some(digit) = character.to_digit(10) else {
            return false;
        };
        let weighted = match (place.is_multiple_of(2), digit) {
            (true, digit) => digit,
            (false, 0..=4) => digit.saturating_mul(2),
            (false, _) => digit.saturating_mul(2).saturating_sub(9),
        };
        sum = sum.saturating_add(weighted);
    }
    number.len() >= 12 && sum.is_multiple_of(10)
}

fn brand(number: &str) -> &'static str {
    match number.chars().next() {
        Some('3') => "amex",
        Some('5') => "mastercard",
        _ => "visa",
    }
}
