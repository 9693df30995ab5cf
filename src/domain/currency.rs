//! The currencies that can be charged, and what Stripe asks of an amount in each.
//! <https://docs.stripe.com/currencies>

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A lower-case ISO 4217 code of a currency that Stripe charges in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// Every presentment currency. <https://docs.stripe.com/currencies#presentment-currencies>
const CHARGEABLE: &str = "\
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bhd bif bmd bnd bob brl bsd bwp byn bzd \
    cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf \
    gtq gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp \
    lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr \
    pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl \
    thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw";

/// Without decimals. <https://docs.stripe.com/currencies#zero-decimal>
const WITHOUT_DECIMALS: &str = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf";

/// Written without decimals at Stripe, except in the two that it keeps with two for compatibility.
const IN_HUNDREDS: &str = "isk ugx";

/// Three decimals, of which the last must be 0.
const IN_TENS: &str = "bhd jod kwd omr tnd";

/// The smallest charge per currency, in minor units, as of November 2026. In a currency that is
/// missing here, Stripe refuses what is too small, and says so to the buyer.
/// <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>
const MINIMUMS: &[(i64, &str)] = &[
    (30, "gbp"),
    (50, "usd eur aud cad chf inr brl sgd nzd jpy krw"),
    (200, "aed myr pln ron"),
    (250, "dkk"),
    (300, "sek nok"),
    (400, "hkd"),
    (1_000, "mxn thb"),
    (1_500, "czk"),
    (17_500, "huf"),
];

impl Currency {
    /// The three letters, lower case.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// How many digits of an amount in minor units are decimals.
    pub fn decimals(&self) -> usize {
        if WITHOUT_DECIMALS.contains(self.as_str()) {
            0
        } else if IN_TENS.contains(self.as_str()) {
            3
        } else {
            2
        }
    }

    /// An amount must be a multiple of this many minor units.
    pub fn step_minor(&self) -> i64 {
        if IN_HUNDREDS.contains(self.as_str()) {
            100
        } else if IN_TENS.contains(self.as_str()) {
            10
        } else {
            1
        }
    }

    /// The smallest amount that Stripe charges, in minor units. Where Stripe names none, one step.
    pub fn minimum_minor(&self) -> i64 {
        MINIMUMS
            .iter()
            .find(|(_, codes)| codes.contains(self.as_str()))
            .map_or(self.step_minor(), |(minimum, _)| *minimum)
    }
}

impl FromStr for Currency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = CHARGEABLE.split(' ').any(|code| code == text);
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(bytes) if known => Ok(Self(bytes)),
            _ => Err(format!(
                "{text:?} is not a currency that can be charged: \
                 give a lower-case ISO 4217 code such as \"eur\""
            )),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimums_and_steps_are_stripes() {
        for (codes, minimum_minor, step_minor) in [
            ("usd eur aud cad chf inr brl sgd nzd", 50, 1),
            ("gbp", 30, 1),
            ("jpy krw", 50, 1),
            ("mxn thb", 1_000, 1),
            ("sek nok", 300, 1),
            ("dkk", 250, 1),
            ("hkd", 400, 1),
            ("czk", 1_500, 1),
            ("huf", 17_500, 1),
            ("aed myr pln ron", 200, 1),
            ("isk ugx", 100, 100),
            ("bhd jod kwd omr tnd", 10, 10),
            ("vnd", 1, 1),
        ] {
            for code in codes.split(' ') {
                let currency: Currency = code.parse().unwrap();

                assert_eq!(currency.minimum_minor(), minimum_minor, "{code}");
                assert_eq!(currency.step_minor(), step_minor, "{code}");
            }
        }
    }

    #[test]
    fn decimals_are_stripes() {
        for (codes, decimals) in [
            (
                "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf",
                0,
            ),
            ("usd eur gbp huf isk ugx", 2),
            ("bhd jod kwd omr tnd", 3),
        ] {
            for code in codes.split(' ') {
                let currency: Currency = code.parse().unwrap();

                assert_eq!(currency.decimals(), decimals, "{code}");
            }
        }
    }

    #[test]
    fn what_cannot_be_charged_is_no_currency() {
        for code in ["", "EUR", "euro", "xxx", "d e", "€"] {
            assert!(code.parse::<Currency>().is_err(), "{code}");
        }
    }
}
