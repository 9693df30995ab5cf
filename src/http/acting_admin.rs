//! An admin who changes something, with what the audit log has to know of the request.

use std::fmt;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::identity::Admin;
use super::middleware::REQUEST_ID;
use super::problem::Problem;
use crate::app::AppState;
use crate::domain::audit::{AdminAction, NewAuditEntry};
use crate::domain::user::User;

/// An admin, and the request in which they do something.
#[derive(Debug, Clone)]
pub struct ActingAdmin {
    user: User,
    request_id: Option<String>,
}

impl FromRequestParts<AppState> for ActingAdmin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
        let Admin(user) = Admin::from_request_parts(parts, app).await?;
        Ok(Self::new(user, parts))
    }
}

impl ActingAdmin {
    /// This user, who is an admin, in this request.
    pub(super) fn new(user: User, parts: &Parts) -> Self {
        let request_id = parts.headers.get(REQUEST_ID);
        let request_id = request_id
            .and_then(|id| id.to_str().ok())
            .map(str::to_owned);
        Self { user, request_id }
    }

    /// What they do, to be appended to the audit log.
    pub fn entry(
        &self,
        action: AdminAction,
        subject: impl fmt::Display,
        reason: Option<String>,
    ) -> NewAuditEntry {
        NewAuditEntry {
            actor: self.user.id.clone(),
            action,
            subject: subject.to_string(),
            reason,
            request_id: self.request_id.clone(),
        }
    }
}
