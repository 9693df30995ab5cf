//! The parameters of a Checkout Session. <https://docs.stripe.com/api/checkout/sessions/create>

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionExcludedPaymentMethodTypes as Method,
    CreateCheckoutSessionLineItems, CreateCheckoutSessionLineItemsPriceData,
    CreateCheckoutSessionPaymentIntentData, ProductData,
};
use stripe_client_core::StripeRequest;
use stripe_shared::{
    CheckoutSessionLocale, CheckoutSessionMode, CheckoutSessionSubmitType, CheckoutSessionUiMode,
};

use crate::domain::attempt::{PaymentPart, Ui};
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::money::Money;
use crate::domain::quote::QuoteItem;
use crate::domain::stripe_report::APP;

/// What is to be paid, by whom, and where they go afterwards.
#[derive(Debug, Clone)]
pub struct SessionRequest<'a> {
    /// The booking that is paid.
    pub booking_id: BookingId,
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
pub const OPTIONAL_PARAMETERS: [&str; 3] = ["customer_email", "locale", "submit_type"];
/// <https://docs.stripe.com/changelog/2018-08-23>
const NAME_CHARACTERS_MAX: usize = 250;

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
        let success_url = format!(
            "{}/booking/success?session_id={{CHECKOUT_SESSION_ID}}",
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
        let request = match self.ui {
            Ui::Hosted => request
                .ui_mode(CheckoutSessionUiMode::HostedPage)
                .submit_type(CheckoutSessionSubmitType::Book)
                .success_url(success_url)
                .cancel_url(format!(
                    "{}/booking/cancel?booking={}",
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
        HashMap::from([
            ("bookingId".to_owned(), self.booking_id.to_string()),
            ("attemptId".to_owned(), self.attempt_id.to_string()),
            ("part".to_owned(), self.part.as_str().to_owned()),
            ("app".to_owned(), APP.to_owned()),
        ])
    }
}

fn line_item(item: &QuoteItem) -> CreateCheckoutSessionLineItems {
    let mut price = CreateCheckoutSessionLineItemsPriceData::new(currency(item.unit));
    let name: String = item.name.chars().take(NAME_CHARACTERS_MAX).collect();
    price.product_data = Some(ProductData::new(name));
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
