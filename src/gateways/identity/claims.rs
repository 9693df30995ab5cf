//! What a session token says, and whether that stands.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

use crate::config::IdentityConfig;
use crate::domain::odd_json::simplify;
use crate::domain::refusal::Refusal;
use crate::domain::user::{Role, User, UserId};

/// How far the issuer's clock may be from ours.
const LEEWAY: TimeDelta = TimeDelta::seconds(60);
/// The claim `sts` of a session whose user has not done yet what the application asks for, such as
/// to choose an organisation: they count as signed out.
/// <https://clerk.com/docs/guides/sessions/session-tokens>
const PENDING: &str = "pending";
/// The longest mail address. <https://www.rfc-editor.org/errata/eid1690>
const ADDRESS_BYTES_MAX: usize = 254;

/// The claims of a session token. One that only describes the user and is of another type than it
/// should have is no claim: what an issuer puts under a name that it need not use is its own
/// affair.
#[derive(Deserialize)]
pub(super) struct Claims {
    #[serde(default, deserialize_with = "if_it_fits")]
    sub: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    exp: Option<Number>,
    #[serde(default)]
    nbf: Restriction<Number>,
    #[serde(default)]
    azp: Restriction<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    email: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    name: Option<String>,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    sts: Value,
}

/// A claim that says where or when the token does not count, if it is there. One that cannot be
/// read is not passed over.
#[derive(Default)]
enum Restriction<T> {
    #[default]
    None,
    Given(T),
    Unreadable,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Restriction<T> {
    fn deserialize<D: Deserializer<'de>>(claim: D) -> Result<Self, D::Error> {
        let claim = T::deserialize(Value::deserialize(claim)?);
        Ok(claim.map_or(Self::Unreadable, Self::Given))
    }
}

fn if_it_fits<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    claim: D,
) -> Result<Option<T>, D::Error> {
    Ok(T::deserialize(Value::deserialize(claim)?).ok())
}

impl Claims {
    /// The claims of a token, whoever has signed it; `None` where it has none that can be read.
    pub(super) fn read(token: &str) -> Option<Self> {
        let part = token.split('.').nth(1)?;
        let json = URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_str(&simplify(str::from_utf8(&json).ok()?)).ok()
    }

    /// The user, if the claims stand at `now`; else refuses with `unauthenticated`.
    ///
    /// `azp` is checked where the token has one, as Clerk's own libraries do
    /// (<https://clerk.com/docs/guides/sessions/manual-jwt-verification>).
    pub(super) fn user(self, config: &IdentityConfig, now: DateTime<Utc>) -> Result<User, Refusal> {
        let end = self
            .exp
            .as_ref()
            .map(instant)
            .ok_or(Refusal::Unauthenticated(
                "The session token does not say when it ends.",
            ))?;
        let is_early = match &self.nbf {
            Restriction::None => false,
            Restriction::Given(start) => instant(start).signed_duration_since(now) > LEEWAY,
            Restriction::Unreadable => true,
        };
        let is_ours = |issuer: &String| issuer.trim_end_matches('/') == config.issuer;
        let is_foreign = match &self.azp {
            Restriction::None => false,
            Restriction::Given(party) => !config.authorized_parties.contains(party),
            Restriction::Unreadable => true,
        };
        if now.signed_duration_since(end) >= LEEWAY {
            Err(Refusal::Unauthenticated("The session token has expired."))
        } else if is_early {
            Err(Refusal::Unauthenticated(
                "The session token is not valid yet.",
            ))
        } else if !self.iss.as_ref().is_some_and(is_ours) {
            Err(Refusal::Unauthenticated(
                "The session token is from another issuer.",
            ))
        } else if self.sts == PENDING {
            Err(Refusal::Unauthenticated(
                "The session is not complete: its user has still something to do to sign in.",
            ))
        } else if is_foreign {
            Err(Refusal::Unauthenticated(
                "The session token was made for another application.",
            ))
        } else {
            self.subject()
        }
    }

    fn subject(self) -> Result<User, Refusal> {
        let id = self
            .sub
            .filter(|sub| (1..=255).contains(&sub.len()))
            // What looks alike to a person, or to a program that tidies text up, is not to be told
            // apart by us alone. OpenID Connect allows at most 255 ASCII characters:
            // <https://openid.net/specs/openid-connect-core-1_0.html#IDToken>
            .filter(|sub| sub.bytes().all(|byte| byte.is_ascii_graphic()))
            .ok_or(Refusal::Unauthenticated("The session token names no user."))?;
        let is_admin = self.metadata.get("role").and_then(Value::as_str) == Some("admin");
        // What the database cannot hold is no address and no name.
        let clean =
            |text: Option<String>| text.filter(|text| !text.is_empty() && !text.contains('\0'));
        Ok(User {
            id: UserId(id),
            email: clean(self.email).filter(|email| is_address(email)),
            name: clean(self.name),
            role: if is_admin { Role::Admin } else { Role::User },
        })
    }
}

/// The instant of a `NumericDate`: seconds since 1970, which may have a fraction. Beyond the
/// calendar it is the calendar's end. <https://www.rfc-editor.org/rfc/rfc7519#section-2>
fn instant(date: &Number) -> DateTime<Utc> {
    let seconds = date.as_f64().unwrap_or(f64::INFINITY);
    let distance = Duration::try_from_secs_f64(seconds.abs())
        .ok()
        .and_then(|distance| TimeDelta::from_std(distance).ok());
    let from_epoch = |distance| {
        if seconds.is_sign_negative() {
            DateTime::UNIX_EPOCH.checked_sub_signed(distance)
        } else {
            DateTime::UNIX_EPOCH.checked_add_signed(distance)
        }
    };
    distance
        .and_then(from_epoch)
        .unwrap_or(if seconds.is_sign_negative() {
            DateTime::<Utc>::MIN_UTC
        } else {
            DateTime::<Utc>::MAX_UTC
        })
}

/// Whether a mail could reach it. With one that is none, Stripe would refuse the whole payment
/// page.
fn is_address(email: &str) -> bool {
    let plain =
        !email.contains(|character: char| character.is_whitespace() || character.is_control());
    let parts = email
        .split_once('@')
        .filter(|_| plain && email.len() <= ADDRESS_BYTES_MAX);
    parts.is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.contains('@')
            && domain.contains('.')
            && domain.split('.').all(|label| !label.is_empty())
    })
}
