//! What an endpoint that can be repeated answers with when it has done what it was asked.

use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::problem::Problem;
use crate::domain::refusal::Refusal;
use crate::error::{Error, Result};
use crate::repositories::idempotency_keys::StoredResponse;

/// A success and its resource. Only these three statuses can be made, and each can be stored.
#[derive(Debug, Clone)]
pub struct Reply<T> {
    status: StatusCode,
    location: Option<String>,
    resource: T,
}

impl<T> Reply<T> {
    /// 200: this is the resource now.
    pub fn ok(resource: T) -> Self {
        Self {
            status: StatusCode::OK,
            location: None,
            resource,
        }
    }

    /// 201: the resource is new, and `location` is its path.
    pub fn created(location: String, resource: T) -> Self {
        Self {
            status: StatusCode::CREATED,
            location: Some(location),
            resource,
        }
    }

    /// 202: the work goes on in the background, and `location` is where to look for its end.
    pub fn accepted(location: String, resource: T) -> Self {
        Self {
            status: StatusCode::ACCEPTED,
            location: Some(location),
            resource,
        }
    }
}

impl<T: Serialize> Reply<T> {
    pub(super) fn to_stored(&self) -> Result<StoredResponse> {
        Ok(StoredResponse {
            status: self.status.as_u16(),
            location: self.location.clone(),
            body: json(&self.resource)?,
        })
    }
}

/// A refusal as it is stored: the problem that is made of it, without the id of the request.
pub(super) fn stored_problem(refusal: &Refusal) -> Result<StoredResponse> {
    let problem = Problem::from(refusal);
    Ok(StoredResponse {
        status: problem.status,
        location: None,
        body: json(&problem)?,
    })
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::fault(format!("a response cannot be written: {error}")))
}

/// The response, the first time and every time.
pub(super) fn response_of(stored: &StoredResponse) -> Result<Response> {
    let unreadable = |error: &dyn std::error::Error| {
        Error::fault(format!("a stored response cannot be read: {error}"))
    };
    let status = StatusCode::from_u16(stored.status).map_err(|error| unreadable(&error))?;
    if !status.is_success() {
        let problem: Problem =
            serde_json::from_str(&stored.body).map_err(|error| unreadable(&error))?;
        return Ok(problem.into_response());
    }
    let json = [(CONTENT_TYPE, "application/json")];
    let mut response = (status, json, stored.body.clone()).into_response();
    if let Some(location) = &stored.location {
        let location = HeaderValue::from_str(location).map_err(|error| unreadable(&error))?;
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}
