//! The booking that a path names as `{id}`, and by what right the caller sees it. Another person's
//! booking reads as 404.
//!
//! A handler says whom it serves by the type that it takes, and cannot run for anybody else. All
//! types share one loader.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::acting_admin::ActingAdmin;
use super::extract::Path;
use super::identity::CurrentUser;
use super::problem::Problem;
use crate::app::AppState;
use crate::domain::booking::BookingDetails;
use crate::domain::refusal::Refusal;
use crate::domain::user::{Role, User};

/// A booking of the caller's own.
#[derive(Debug, Clone)]
pub struct OwnBooking(pub BookingDetails);

/// A booking of the caller's own, or any booking for an admin.
#[derive(Debug, Clone)]
pub struct AnyBooking(pub BookingAccess);

/// A booking that the caller may see.
#[derive(Debug, Clone)]
pub struct BookingAccess {
    /// The booking, as it was when the request came.
    pub details: BookingDetails,
    /// By what right.
    pub by: AccessedBy,
}

/// By what right a caller sees a booking.
#[derive(Debug, Clone)]
pub enum AccessedBy {
    /// It is theirs, whatever their role.
    Owner(User),
    /// It is somebody else's.
    Admin(ActingAdmin),
}

impl FromRequestParts<AppState> for OwnBooking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
        let access = load(parts, app).await?;
        match access.by {
            AccessedBy::Owner(_) => Ok(Self(access.details)),
            AccessedBy::Admin(_) => Err(not_found()),
        }
    }
}

impl FromRequestParts<AppState> for AnyBooking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
        let access = load(parts, app).await?;
        match access.by {
            AccessedBy::Owner(_) | AccessedBy::Admin(_) => Ok(Self(access)),
        }
    }
}

/// Asks first who is calling: without a token, no path says what there is.
async fn load(parts: &mut Parts, app: &AppState) -> Result<BookingAccess, Problem> {
    let CurrentUser(user) = CurrentUser::from_request_parts(parts, app).await?;
    let Path(id) = Path::from_request_parts(parts, app).await?;
    let found = app.batchers.bookings.submit(id).await?;
    let details = found.ok_or_else(not_found)?;
    let is_owner = details.booking.user_id == user.id;
    let by = match user.role {
        Role::User | Role::Admin if is_owner => AccessedBy::Owner(user),
        Role::Admin => AccessedBy::Admin(ActingAdmin::new(user, parts)),
        Role::User => return Err(not_found()),
    };
    Ok(BookingAccess { details, by })
}

fn not_found() -> Problem {
    Problem::from(Refusal::NotFound("booking"))
}
