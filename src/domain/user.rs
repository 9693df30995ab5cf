//! Who is calling.

/// The identity provider's id of a user, as in the `sub` of a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct UserId(pub String);

impl UserId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a user may do beyond his own affairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Books for himself.
    User,
    /// Runs the house.
    Admin,
}

/// A user as his token describes him.
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
