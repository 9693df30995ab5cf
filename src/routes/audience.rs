//! What the endpoints of an audience have in common, added to the description of the API once: who
//! they are for, how these sign in, and the problems that any of them may have.

use axum::http::{Method, StatusCode};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Components, Content, OpenApi, Ref, RefOr, Response};
use utoipa_axum::router::OpenApiRouter;

use super::problems::GeneralProblems;
use crate::app::AppState;
use crate::http::identity::SESSION_COOKIE;

const BEARER: &str = "bearer";
const SESSION: &str = "sessionCookie";

/// Who calls a group of endpoints.
pub(super) struct Audience {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) signs_in: bool,
    /// Lists of problems, all of which count.
    pub(super) problems: &'static [&'static [GeneralProblems]],
}

impl Audience {
    /// Says of all these routes what they have in common.
    pub(super) fn describe(&self, mut routes: OpenApiRouter<AppState>) -> OpenApiRouter<AppState> {
        let api = routes.get_openapi_mut();
        let tag = TagBuilder::new().name(self.name);
        api.tags = Some(vec![tag.description(Some(self.description)).build()]);
        if self.signs_in {
            add_security_schemes(api);
        }
        for (method, operation) in api.paths.paths.values_mut().flat_map(operations) {
            self.describe_operation(&method, operation);
        }
        routes
    }

    fn describe_operation(&self, method: &Method, operation: &mut Operation) {
        operation.tags = Some(vec![self.name.to_owned()]);
        if self.signs_in {
            let schemes = [BEARER, SESSION].map(|name| SecurityRequirement::new(name, [""; 0]));
            operation.security = Some(schemes.to_vec());
        }
        for general in self.problems.iter().copied().flatten() {
            if general.of.contain(method, operation) {
                add_problems(operation, general);
            }
        }
        for (status, response) in &mut operation.responses.responses {
            if let RefOr::T(response) = response {
                complete(response, status);
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let methods = [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ];
    let described = |(method, operation): (Method, _)| Some((method, Option::as_mut(operation)?));
    methods.into_iter().filter_map(described)
}

/// Names the codes beside those that the endpoint names itself under the same status.
fn add_problems(operation: &mut Operation, general: &GeneralProblems) {
    for (status, code) in general.codes {
        let responses = &mut operation.responses.responses;
        let response = responses
            .entry((*status).to_owned())
            .or_insert_with(|| RefOr::T(Response::new("")));
        let RefOr::T(Response { description, .. }) = response else {
            continue;
        };
        let code = format!("`{code}`");
        if description.contains(&code) {
            continue;
        }
        if !description.is_empty() {
            description.push_str(", ");
        }
        description.push_str(&code);
    }
}

/// Gives an error its body, and a success that says nothing its name.
fn complete(response: &mut Response, status: &str) {
    let status = status.parse().unwrap_or(StatusCode::OK);
    if !status.is_success() {
        let problem = Content::new(Some(Ref::from_schema_name("Problem")));
        let media_type = "application/problem+json".to_owned();
        response.content.insert(media_type, RefOr::T(problem));
    } else if response.description.is_empty() {
        let reason = status.canonical_reason().unwrap_or_default();
        response.description.push_str(reason);
    }
}

fn add_security_schemes(api: &mut OpenApi) {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT");
    let session = ApiKeyValue::with_description(
        SESSION_COOKIE,
        "The same token. What changes something must come from an allowed `Origin`.",
    );
    let components = api.components.get_or_insert_with(Components::new);
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer.build()));
    components.add_security_scheme(SESSION, SecurityScheme::ApiKey(ApiKey::Cookie(session)));
}
