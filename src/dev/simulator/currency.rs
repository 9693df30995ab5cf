//! What each currency allows: its decimals, smallest charge and notation
//! (<https://docs.stripe.com/currencies>).

use super::refusal::Refusal;

/// Eight digits: the largest amount, in the currency's minor unit.
const AMOUNT_MAX: i64 = 99_999_999;

const ZERO_DECIMAL: &[&str] = &[
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf",
    "xof", "xpf",
];
const THREE_DECIMAL: &[&str] = &["bhd", "jod", "kwd", "omr", "tnd"];
/// Without decimals in the world, but written with two zeros in the API.
const WHOLE_UNITS_ONLY: &[&str] = &["isk", "ugx"];

const TWO_DECIMAL: &[&str] = &[
    "usd", "aed", "afn", "all", "amd", "ang", "aoa", "ars", "aud", "awg", "azn", "bam", "bbd",
    "bdt", "bmd", "bnd", "bob", "brl", "bsd", "bwp", "byn", "bzd", "cad", "cdf", "chf", "cny",
    "cop", "crc", "cve", "czk", "dkk", "dop", "dzd", "egp", "etb", "eur", "fjd", "fkp", "gbp",
    "gel", "gip", "gmd", "gtq", "gyd", "hkd", "hnl", "htg", "huf", "idr", "ils", "inr", "jmd",
    "kes", "kgs", "khr", "kyd", "kzt", "lak", "lbp", "lkr", "lrd", "lsl", "mad", "mdl", "mkd",
    "mmk", "mnt", "mop", "mur", "mvr", "mwk", "mxn", "myr", "mzn", "nad", "ngn", "nio", "nok",
    "npr", "nzd", "pab", "pen", "pgk", "php", "pkr", "pln", "qar", "ron", "rsd", "rub", "sar",
    "sbd", "scr", "sek", "sgd", "shp", "sle", "sos", "srd", "std", "szl", "thb", "tjs", "top",
    "try", "ttd", "twd", "tzs", "uah", "uyu", "uzs", "wst", "xcd", "yer", "zar", "zmw",
];

/// Smallest charges, in minor units, where Stripe publishes one.
const MINIMUMS: &[(&str, i64)] = &[
    ("usd", 50),
    ("aed", 200),
    ("aud", 50),
    ("brl", 50),
    ("cad", 50),
    ("chf", 50),
    ("czk", 1_500),
    ("dkk", 250),
    ("eur", 50),
    ("gbp", 30),
    ("hkd", 400),
    ("huf", 17_500),
    ("inr", 50),
    ("jpy", 50),
    ("mxn", 1_000),
    ("myr", 200),
    ("nok", 300),
    ("nzd", 50),
    ("pln", 200),
    ("ron", 200),
    ("sek", 300),
    ("sgd", 50),
    ("thb", 1_000),
];

/// The lower-case code of a currency that Stripe supports.
pub(super) fn parse(param: &str, code: &str) -> Result<String, Refusal> {
    let lower = code.to_ascii_lowercase();
    let supported = [ZERO_DECIMAL, THREE_DECIMAL, WHOLE_UNITS_ONLY, TWO_DECIMAL];
    if supported
        .iter()
        .any(|codes| codes.contains(&lower.as_str()))
    {
        return Ok(lower);
    }
    Err(Refusal::invalid(
        param,
        format!("Invalid currency: {code}. Stripe does not support this currency."),
    ))
}

/// An amount must be one that the currency's issuers can charge.
pub(super) fn check_unit(param: &str, currency: &str, amount: i64) -> Result<(), Refusal> {
    if amount < 0 {
        return Err(
            Refusal::invalid(param, "This value must be greater than or equal to 0.")
                .code("parameter_invalid_integer"),
        );
    }
    let step = if THREE_DECIMAL.contains(&currency) {
        10
    } else if WHOLE_UNITS_ONLY.contains(&currency) {
        100
    } else {
        1
    };
    if amount.checked_rem(step) == Some(0) {
        return Ok(());
    }
    Err(Refusal::invalid(
        param,
        format!("Invalid amount: amounts in {currency} must be evenly divisible by {step}."),
    ))
}

/// A session's total must be chargeable, or zero when nothing is to be paid.
pub(super) fn check_total(currency: &str, total: i64) -> Result<(), Refusal> {
    if total > AMOUNT_MAX {
        return Err(Refusal::invalid(
            "line_items",
            format!(
                "The Checkout Session's total amount due must be no more than {}.",
                format_amount(currency, AMOUNT_MAX)
            ),
        )
        .code("amount_too_large"));
    }
    let minimum = MINIMUMS
        .iter()
        .find(|(code, _)| *code == currency)
        .map_or(1, |(_, minimum)| *minimum);
    if total == 0 || total >= minimum {
        return Ok(());
    }
    Err(Refusal::invalid(
        "line_items",
        format!(
            "The Checkout Session's total amount due must add up to at least {} {currency}",
            format_amount(currency, minimum)
        ),
    )
    .code("amount_too_small"))
}

/// The amount as a buyer reads it, such as `€24.00`.
pub(super) fn format_amount(currency: &str, amount: i64) -> String {
    let symbol = match currency {
        "eur" => "€".to_owned(),
        "usd" => "$".to_owned(),
        "gbp" => "£".to_owned(),
        "jpy" => "¥".to_owned(),
        "inr" => "₹".to_owned(),
        other => format!("{} ", other.to_ascii_uppercase()),
    };
    let decimals = if ZERO_DECIMAL.contains(&currency) {
        0
    } else if THREE_DECIMAL.contains(&currency) {
        3
    } else {
        2
    };
    let digits = format!(
        "{amount:0>width$}",
        width = usize::saturating_add(decimals, 1)
    );
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(decimals));
    let point = if decimals == 0 { "" } else { "." };
    format!("{symbol}{}{point}{fraction}", grouped(whole))
}

fn grouped(whole: &str) -> String {
    let mut text = String::new();
    for (place, digit) in whole.chars().enumerate() {
        let left = whole.len().saturating_sub(place);
        if place > 0 && left.is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
