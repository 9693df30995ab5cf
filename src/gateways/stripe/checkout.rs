//! The parameters of a Checkout Session. <https://docs.stripe.com/api/checkout/sessions/create>

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionConsentCollection as Consent,
    CreateCheckoutSessionConsentCollectionTermsOfService as Terms,
    CreateCheckoutSessionCustomText as CustomText,
    CreateCheckoutSessionExcludedPaymentMethodTypes as Method, CreateCheckoutSessionLineItems,
    CreateCheckoutSessionLineItemsPriceData, CreateCheckoutSessionPaymentIntentData,
    CustomTextPositionParam, ProductData,
};
use stripe_client_core::StripeRequest;
use stripe_shared::{
    CheckoutSessionBillingAddressCollection, CheckoutSessionLocale, CheckoutSessionMode,
    CheckoutSessionSubmitType, CheckoutSessionUiMode,
};

use crate::config::{CheckoutConfig, Config};
use crate::domain::attempt::{PaymentPart, Ui};
use crate::domain::booking::Reservation;
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::money::Money;
use crate::domain::quote::QuoteItem;

/// What is to be paid, by whom, and where they go afterwards.
#[derive(Debug, Clone)]
pub struct SessionRequest<'a> {
    /// What the session says of us, and asks for besides the money.
    pub config: &'a Config,
    /// The booking that is paid.
    pub booking_id: BookingId,
    /// What it reserves.
    pub reservation: &'a Reservation,
    /// The attempt that asks.
    pub attempt_id: AttemptId,
    /// Which part of the booking is paid.
    pub part: PaymentPart,
    /// Where the buyer pays.
    pub ui: Ui,
    /// What they see and pay for.
    pub items: &'a [QuoteItem],
    /// Their mail address, if it is known.
    pub email: Option<&'a str>,
    /// The front end that they come from, without a slash at the end.
    pub origin: &'a str,
    /// When the session ends: at least 30 minutes and at most 24 hours ahead, on Stripe's clock.
    pub expires_at: DateTime<Utc>,
    /// Until when what they want is held, in the time of its place, if it is known.
    pub held_until: Option<DateTime<Tz>>,
    /// Whether the buyer may pay by a method that takes days, while what they want is held.
    pub delayed_methods: bool,
}

/// Methods whose outcome is known only after the buyer has left the payment page, mostly days
/// later. <https://docs.stripe.com/payments/payment-methods#payment-notification>
const DELAYED_METHODS: [Method; 13] = [
    Method::AcssDebit,
    Method::AuBecsDebit,
    Method::BacsDebit,
    Method::Boleto,
    Method::CustomerBalance,
    Method::Konbini,
    Method::Multibanco,
    Method::NzBankAccount,
    Method::Oxxo,
    Method::Payto,
    Method::SepaDebit,
    Method::Sofort,
    Method::UsBankAccount,
];

/// What makes a payment page better, and is not worth a sale: where Stripe refuses one of these, it
/// is asked again without.
pub const OPTIONAL_PARAMETERS: [&str; 4] = [
    "custom_text[submit][message]",
    "customer_email",
    "locale",
    "submit_type",
];
/// <https://docs.stripe.com/changelog/2018-08-23>
const NAME_CHARACTERS_MAX: usize = 250;
/// What a buyer reads of a list of seats; that of all of them is in the booking.
const DESCRIPTION_CHARACTERS_MAX: usize = 500;

/// Parameters as they are sent, in another form.
pub struct RevisedParameters(Vec<(String, String)>);

/// These parameters, to be changed.
pub fn revised(parameters: &str) -> RevisedParameters {
    RevisedParameters(
        form_urlencoded::parse(parameters.as_bytes())
            .into_owned()
            .collect(),
    )
}

impl RevisedParameters {
    /// Without one of them.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(other, _)| other != name);
        self
    }

    /// With another value of one.
    #[must_use]
    pub fn with(mut self, name: &str, value: i64) -> Self {
        for (other, old) in &mut self.0 {
            if other == name {
                *old = value.to_string();
            }
        }
        self
    }

    /// For another attempt, to the letter as they are to be stored and sent.
    pub fn naming(self, old: &AttemptId, new: &AttemptId) -> String {
        let (old, new) = (old.to_string(), new.to_string());
        let parameters = self.0.iter();
        let parameters = parameters.map(|(name, value)| (name, value.replace(&old, &new)));
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish()
    }
}

impl SessionRequest<'_> {
    /// The form-encoded parameters. They must be stored and sent to the letter: Stripe replays an
    /// idempotency key only for identical parameters, and `expires_at` would differ if it were
    /// computed again.
    pub fn parameters(&self) -> String {
        let metadata = self.metadata();
        let CheckoutConfig {
            success_path,
            cancel_path,
            requires_terms,
            requires_billing_address,
        } = &self.config.checkout;
        let success_url = format!(
            "{}{success_path}?session_id={{CHECKOUT_SESSION_ID}}",
            self.origin
        );
        let payment_intent = CreateCheckoutSessionPaymentIntentData {
            // Stripe does not copy the session's metadata to the payment.
            metadata: Some(metadata.clone()),
            ..CreateCheckoutSessionPaymentIntentData::default()
        };
        let request = CreateCheckoutSession::new()
            .mode(CheckoutSessionMode::Payment)
            .line_items(self.items.iter().map(line_item).collect::<Vec<_>>())
            .client_reference_id(self.booking_id.to_string())
            .metadata(metadata)
            .payment_intent_data(payment_intent)
            .expires_at(self.expires_at.timestamp())
            .locale(CheckoutSessionLocale::Auto);
        let request = match self.email {
            Some(email) => request.customer_email(email),
            None => request,
        };
        // Which methods there are besides is the account's setting.
        let request = if self.delayed_methods {
            request
        } else {
            request.excluded_payment_method_types(DELAYED_METHODS)
        };
        let request = if *requires_terms {
            request.consent_collection(consent_to_terms())
        } else {
            request
        };
        let request = if *requires_billing_address {
            request.billing_address_collection(CheckoutSessionBillingAddressCollection::Required)
        } else {
            request
        };
        // A front end with a button of its own has its own words.
        let held_until = self.held_until.filter(|_| self.ui != Ui::Custom);
        let request = match held_until {
            Some(until) => request.custom_text(beside_button(until)),
            None => request,
        };
        let request = match self.ui {
            Ui::Hosted => request
                .ui_mode(CheckoutSessionUiMode::HostedPage)
                .submit_type(CheckoutSessionSubmitType::Book)
                .success_url(success_url)
                .cancel_url(format!(
                    "{}{cancel_path}?booking={}",
                    self.origin, self.booking_id
                )),
            Ui::Embedded => request
                .ui_mode(CheckoutSessionUiMode::EmbeddedPage)
                .submit_type(CheckoutSessionSubmitType::Book)
                .return_url(success_url),
            // Stripe refuses `submit_type` where the front end has its own button.
            Ui::Custom => request
                .ui_mode(CheckoutSessionUiMode::Elements)
                .return_url(success_url),
        };
        request.build().body.unwrap_or_default()
    }

    fn metadata(&self) -> HashMap<String, String> {
        let (subject, id) = match self.reservation {
            Reservation::Seats(seats) => ("showId", seats.show_id.to_string()),
            Reservation::Slot(slot) => ("serviceId", slot.service_id.to_string()),
        };
        HashMap::from([
            ("bookingId".to_owned(), self.booking_id.to_string()),
            ("attemptId".to_owned(), self.attempt_id.to_string()),
            ("part".to_owned(), self.part.as_str().to_owned()),
            ("app".to_owned(), self.config.stripe.app_name.clone()),
            (subject.to_owned(), id),
        ])
    }
}

fn consent_to_terms() -> Consent {
    let mut consent = Consent::new();
    consent.terms_of_service = Some(Terms::Required);
    consent
}

fn beside_button(held_until: DateTime<Tz>) -> CustomText {
    let mut text = CustomText::new();
    let message = format!(
        "Held for you until {} ({}).",
        held_until.format("%H:%M"),
        held_until.timezone()
    );
    text.submit = Some(CustomTextPositionParam::new(message));
    text
}

fn line_item(item: &QuoteItem) -> CreateCheckoutSessionLineItems {
    let mut price = CreateCheckoutSessionLineItemsPriceData::new(currency(item.unit));
    let name: String = item.name.chars().take(NAME_CHARACTERS_MAX).collect();
    let description = item.description.chars();
    let description: String = description.take(DESCRIPTION_CHARACTERS_MAX).collect();
    let mut product = ProductData::new(name);
    // Stripe refuses an empty one.
    product.description = (!description.is_empty()).then_some(description);
    price.product_data = Some(product);
    price.unit_amount = Some(item.unit.amount_minor);
    let mut line_item = CreateCheckoutSessionLineItems::new();
    line_item.price_data = Some(price);
    line_item.quantity = Some(item.quantity);
    line_item
}

fn currency(money: Money) -> stripe_types::Currency {
    match money.currency.as_str().parse() {
        Ok(currency) => currency,
        Err(never) => match never {},
    }
}
