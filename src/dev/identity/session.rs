//! The two people who do not exist, and tokens that say that they are signed in.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::shared::SharedIssuer;

pub(super) struct Person {
    id: &'static str,
    email: &'static str,
    name: &'static str,
    role: Option<&'static str>,
}

pub(super) const CUSTOMER: Person = Person {
    id: "user_dev_customer",
    email: "dana@example.com",
    name: "Dana Customer",
    role: None,
};

pub(super) const ADMIN: Person = Person {
    id: "user_dev_admin",
    email: "ada@example.com",
    name: "Ada Admin",
    role: Some("admin"),
};

/// The claims are those of a Clerk session; what a person does not have is left out.
pub(super) fn token(
    shared: &SharedIssuer,
    person: &Person,
    now: DateTime<Utc>,
    valid_for: TimeDelta,
) -> String {
    let issued = now.timestamp();
    let mut claims = json!({
        "sub": person.id,
        "email": person.email,
        "name": person.name,
        "iss": shared.url,
        "iat": issued,
        "nbf": issued,
        "exp": issued.saturating_add(valid_for.num_seconds()),
    });
    // The site is the only party that its sessions are for; without one, any party may use them.
    let party = shared.site.as_ref().map(|_| json!(shared.url));
    let metadata = person.role.map(|role| json!({"role": role}));
    if let Some(claims) = claims.as_object_mut() {
        claims.extend(party.map(|party| ("azp".to_owned(), party)));
        claims.extend(metadata.map(|metadata| ("metadata".to_owned(), metadata)));
    }
    shared.key().sign(&claims)
}
