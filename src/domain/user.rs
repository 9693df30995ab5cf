//! Who is calling.

/// The identity provider's id of a user, as in the `sub` of a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct UserId(pub String);

impl UserId {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a user may do beyond their own bookings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Books, and sees their own bookings.
    User,
    /// Runs the house, and sees every booking.
    Admin,
}

/// A user as their token describes them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct User {
    /// The provider's id.
    pub id: UserId,
    /// Where confirmations go, if the token says.
    pub email: Option<String>,
    /// The display name, if the token says.
    pub name: Option<String>,
    /// The role that the token grants.
    pub role: Role,
}

/// A user as they are known from their tokens, whose booking it is.
#[derive(Debug, Clone)]
pub struct Customer {
    /// The provider's id.
    pub id: UserId,
    /// Where confirmations go, if it is known.
    pub email: Option<String>,
    /// The display name, if it is known.
    pub name: Option<String>,
}
