//! `POST /v1/checkout/sessions`: every rule a new session must meet
//! (<https://docs.stripe.com/api/checkout/sessions/create>).

use super::account::Cause;
use super::checkout_session::{
    CheckoutSession, IntentData, LineItem, PaymentStatus, SessionStatus,
};
use super::currency;
use super::ids;
use super::line_items;
use super::parameters::Parameters;
use super::refusal::Refusal;

const EXPIRES_SECONDS_MIN: i64 = 30 * 60;
const EXPIRES_SECONDS_MAX: i64 = 24 * 60 * 60;
const CLIENT_REFERENCE_CHARACTERS_MAX: usize = 200;
const UI_MODES: &[&str] = &["elements", "embedded_page", "form", "hosted_page"];
const SUBMIT_TYPES: &[&str] = &["auto", "book", "donate", "pay", "subscribe"];
const REDIRECTS: &[&str] = &["always", "if_required", "never"];
const LOCALES: &[&str] = &[
    "auto", "bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil", "fr",
    "fr-CA", "hr", "hu", "id", "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl", "pt",
    "pt-BR", "ro", "ru", "sk", "sl", "sv", "th", "tr", "vi", "zh", "zh-HK", "zh-TW",
];
/// Known to this API version, and without effect on what the simulator models.
const WITHOUT_EFFECT: &[&str] = &[
    "adaptive_pricing",
    "after_expiration",
    "allow_promotion_codes",
    "automatic_tax",
    "billing_address_collection",
    "branding_settings",
    "consent_collection",
    "custom_fields",
    "custom_text",
    "customer_update",
    "discounts",
    "integration_identifier",
    "invoice_creation",
    "managed_payments",
    "name_collection",
    "optional_items",
    "origin_context",
    "payment_method_collection",
    "payment_method_configuration",
    "payment_method_data",
    "payment_method_options",
    "permissions",
    "phone_number_collection",
    "saved_payment_method_options",
    "shipping_address_collection",
    "shipping_options",
    "tax_id_collection",
    "wallet_options",
];

/// Reads and checks the parameters. The session is open and not yet in the account; `base_url` is
/// where its page is.
pub(super) fn read(
    mut parameters: Parameters,
    base_url: &str,
    cause: &Cause,
) -> Result<CheckoutSession, Refusal> {
    check_mode(&mut parameters)?;
    parameters.ignore(WITHOUT_EFFECT);
    let line_items = line_items::read(&mut parameters)?;
    let (currency, amount_total) = total(&mut parameters, &line_items)?;
    let id = ids::session_id();
    let mut session = CheckoutSession {
        created: cause.now,
        expires_at: expires_at(&mut parameters, cause.now)?,
        status: SessionStatus::Open,
        payment_status: if amount_total == 0 {
            PaymentStatus::NoPaymentRequired
        } else {
            PaymentStatus::Unpaid
        },
        ui_mode: parameters
            .choice("ui_mode", UI_MODES)?
            .unwrap_or_else(|| "hosted_page".into()),
        metadata: parameters.metadata("metadata")?.into_metadata()?,
        intent_data: intent_data(&mut parameters)?,
        client_reference_id: client_reference_id(&mut parameters)?,
        client_secret: None,
        customer_creation: parameters
            .choice("customer_creation", &["always", "if_required"])?
            .unwrap_or_else(|| "if_required".into()),
        customer_email: customer_email(&mut parameters)?,
        customer_details: None,
        locale: parameters.choice("locale", LOCALES)?,
        submit_type: parameters.choice("submit_type", SUBMIT_TYPES)?,
        payment_method_types: payment_method_types(&mut parameters, &currency)?,
        redirect_on_completion: None,
        success_url: web_address(&mut parameters, "success_url")?,
        cancel_url: web_address(&mut parameters, "cancel_url")?,
        return_url: web_address(&mut parameters, "return_url")?,
        url: Some(format!("{base_url}/c/pay/{id}")),
        payment_intent: None,
        answered: false,
        id,
        currency,
        amount_total,
        line_items,
    };
    check_addresses(&mut session, &mut parameters)?;
    parameters.finish()?;
    Ok(session)
}

fn check_mode(parameters: &mut Parameters) -> Result<(), Refusal> {
    let mode = parameters
        .choice("mode", &["payment", "setup", "subscription"])?
        .ok_or_else(|| Refusal::missing("mode"))?;
    if mode != "payment" {
        return Err(Refusal::invalid(
            "mode",
            format!("This simulator knows only `payment` mode, not `{mode}`."),
        ));
    }
    for name in ["setup_intent_data", "subscription_data"] {
        if parameters.has(name) {
            return Err(Refusal::invalid(
                name,
                format!("You can not pass `{name}` in `payment` mode."),
            ));
        }
    }
    Ok(())
}

/// All line items have one currency, and together they can be charged.
fn total(parameters: &mut Parameters, line_items: &[LineItem]) -> Result<(String, i64), Refusal> {
    let mut total: i64 = 0;
    let mut currency = parameters
        .text("currency")?
        .map(|code| currency::parse("currency", &code))
        .transpose()?;
    for item in line_items {
        let expected = currency.get_or_insert_with(|| item.currency.clone());
        if *expected != item.currency {
            return Err(Refusal::invalid(
                "line_items",
                format!(
                    "All prices on a Checkout Session must use the same currency: {expected} and \
                     {}.",
                    item.currency
                ),
            ));
        }
        total = total.saturating_add(item.unit_amount.saturating_mul(item.quantity));
    }
    let currency = currency.ok_or_else(|| Refusal::missing("line_items"))?;
    currency::check_total(&currency, total)?;
    Ok((currency, total))
}

/// Between 30 minutes and 24 hours from now on Stripe's clock; 24 hours when not given.
fn expires_at(parameters: &mut Parameters, now: i64) -> Result<i64, Refusal> {
    let earliest = now.saturating_add(EXPIRES_SECONDS_MIN);
    let latest = now.saturating_add(EXPIRES_SECONDS_MAX);
    let Some(expires_at) = parameters.integer("expires_at")? else {
        return Ok(latest);
    };
    let bound = if expires_at < earliest {
        "at least 30 minutes from"
    } else if expires_at > latest {
        "less than 24 hours from"
    } else {
        return Ok(expires_at);
    };
    Err(Refusal::invalid(
        "expires_at",
        format!("The `expires_at` timestamp must be {bound} Checkout Session creation."),
    ))
}

fn intent_data(parameters: &mut Parameters) -> Result<IntentData, Refusal> {
    let Some(mut given) = parameters.nested("payment_intent_data")? else {
        return Ok(IntentData::default());
    };
    given.ignore(&[
        "application_fee_amount",
        "on_behalf_of",
        "shipping",
        "transfer_data",
    ]);
    let capture = given.choice(
        "capture_method",
        &["automatic", "automatic_async", "manual"],
    )?;
    if capture.as_deref() == Some("manual") {
        return Err(Refusal::invalid(
            "payment_intent_data[capture_method]",
            "This simulator captures every payment at once.",
        ));
    }
    let data = IntentData {
        metadata: given.metadata("metadata")?.into_metadata()?,
        description: given.text("description")?,
        receipt_email: email(&mut given, "receipt_email")?,
        setup_future_usage: given.choice("setup_future_usage", &["off_session", "on_session"])?,
        statement_descriptor: given.text("statement_descriptor")?,
        statement_descriptor_suffix: given.text("statement_descriptor_suffix")?,
        transfer_group: given.text("transfer_group")?,
    };
    given.finish()?;
    Ok(data)
}

fn client_reference_id(parameters: &mut Parameters) -> Result<Option<String>, Refusal> {
    let reference = parameters.text("client_reference_id")?;
    let length = reference.as_ref().map_or(0, |text| text.chars().count());
    if length > CLIENT_REFERENCE_CHARACTERS_MAX {
        return Err(Refusal::invalid(
            "client_reference_id",
            format!("Invalid string: must be at most {CLIENT_REFERENCE_CHARACTERS_MAX} characters"),
        )
        .code("parameter_invalid_string_too_long"));
    }
    Ok(reference)
}

/// A customer brings an address of their own; here no customer exists.
fn customer_email(parameters: &mut Parameters) -> Result<Option<String>, Refusal> {
    let email = email(parameters, "customer_email")?;
    for (name, noun) in [("customer", "customer"), ("customer_account", "account")] {
        let Some(customer) = parameters.text(name)? else {
            continue;
        };
        if email.is_some() {
            return Err(Refusal::invalid(
                "customer_email",
                format!("You may only specify one of these parameters: {name}, customer_email."),
            ));
        }
        return Err(Refusal::no_such(noun, &customer, name));
    }
    Ok(email)
}

fn email(parameters: &mut Parameters, name: &str) -> Result<Option<String>, Refusal> {
    let param = parameters.name(name);
    let Some(address) = parameters.text(name)? else {
        return Ok(None);
    };
    let plausible = address.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.contains('@')
            && domain.contains('.')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
            && !address.contains(char::is_whitespace)
            && address.is_ascii()
    });
    if plausible {
        return Ok(Some(address));
    }
    Err(Refusal::invalid(param, format!("Invalid email address: {address}")).code("email_invalid"))
}

fn payment_method_types(
    parameters: &mut Parameters,
    currency: &str,
) -> Result<Vec<String>, Refusal> {
    let possible: &[&str] = if currency == "eur" {
        &["card", "sepa_debit"]
    } else {
        &["card"]
    };
    let allowed = parameters.texts("allowed_payment_method_types")?;
    let excluded = parameters.texts("excluded_payment_method_types")?;
    let is_in = |names: &[String], kind: &str| names.iter().any(|name| name == kind);
    let types: Vec<String> = possible
        .iter()
        .filter(|kind| allowed.is_empty() || is_in(&allowed, kind))
        .filter(|kind| !is_in(&excluded, kind))
        .map(|kind| (*kind).to_owned())
        .collect();
    if types.is_empty() {
        return Err(Refusal::invalid(
            "allowed_payment_method_types",
            "No valid payment method types for this Checkout Session.",
        ));
    }
    Ok(types)
}

fn web_address(parameters: &mut Parameters, name: &str) -> Result<Option<String>, Refusal> {
    let Some(address) = parameters.text(name)? else {
        return Ok(None);
    };
    let absolute = reqwest::Url::parse(&address)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if absolute {
        return Ok(Some(address));
    }
    Err(Refusal::invalid(name, "Not a valid URL").code("url_invalid"))
}

/// The hosted page needs a `success_url`; a page of one's own needs a `return_url` and gets a
/// `client_secret`.
fn check_addresses(
    session: &mut CheckoutSession,
    parameters: &mut Parameters,
) -> Result<(), Refusal> {
    let ui_mode = session.ui_mode.clone();
    let refuse = |name: &str| {
        Err(Refusal::invalid(
            name,
            format!("You can not pass `{name}` when `ui_mode` is `{ui_mode}`."),
        ))
    };
    session.redirect_on_completion = parameters.choice("redirect_on_completion", REDIRECTS)?;
    if ui_mode == "hosted_page" {
        if session.return_url.is_some() {
            return refuse("return_url");
        }
        if session.redirect_on_completion.is_some() {
            return refuse("redirect_on_completion");
        }
        if session.success_url.is_none() {
            return Err(Refusal::missing("success_url"));
        }
        return Ok(());
    }
    if session.success_url.is_some() {
        return refuse("success_url");
    }
    if session.cancel_url.is_some() {
        return refuse("cancel_url");
    }
    let redirect = session
        .redirect_on_completion
        .get_or_insert_with(|| "always".into());
    if redirect != "never" && session.return_url.is_none() {
        return Err(Refusal::missing("return_url"));
    }
    session.client_secret = Some(format!("{}_secret_{}", session.id, ids::secret()));
    session.url = None;
    Ok(())
}
