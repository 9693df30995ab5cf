//! Who is calling: a session token by header or cookie, and what it opens.

use std::slice;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};

use super::problem::Problem;
use crate::app::{App, AppState};
use crate::domain::refusal::Refusal;
use crate::domain::user::{Role, User};
use crate::error::Result;

/// The cookie of Clerk's session token. <https://clerk.com/docs/guides/how-clerk-works/overview>
pub const SESSION_COOKIE: &str = "__session";
/// How many session cookies of one request are looked at. Clerk sets two, and a browser sends those
/// of the domains above as well.
const SESSION_COOKIES_MAX: usize = 8;

/// A user with a valid token. A handler that takes one cannot run without it.
#[derive(Debug, Clone)]
pub struct CurrentUser(pub User);

/// A user whose role is `admin`.
#[derive(Debug, Clone)]
pub struct Admin(pub User);

/// Whom the credentials of a request show, or why they are refused; absent where it has none.
#[derive(Debug, Clone)]
pub(super) struct Identified(pub(super) Result<User, Problem>);

/// What a request brings to say who sends it.
pub(super) enum Credentials<'a> {
    Bearer(&'a str),
    /// At least one.
    Cookies(Vec<&'a str>),
    Unreadable,
}

impl<'a> Credentials<'a> {
    /// The header goes before the cookies.
    pub(super) fn of(headers: &'a HeaderMap) -> Option<Self> {
        if let Some(value) = headers.get(AUTHORIZATION) {
            let token = value.to_str().ok().and_then(|text| text.split_once(' '));
            return Some(match token {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                    Self::Bearer(token.trim())
                }
                _ => Self::Unreadable,
            });
        }
        // Byte by byte: a cookie that is not ASCII must not hide the others.
        let cookies = headers
            .get_all(COOKIE)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
        let cookies = cookies.filter_map(|cookie| str::from_utf8(cookie).ok());
        let pairs = cookies.filter_map(|pair| pair.trim().split_once('='));
        let mut cookies: Vec<_> = pairs
            .filter(|(name, token)| is_session_cookie(name) && !token.is_empty())
            .collect();
        // What a neighbour on the domain has set must not push the plain one, or what could be a
        // token, out of the bound.
        cookies.sort_by_key(|(name, token)| (!is_token(token), *name != SESSION_COOKIE));
        let tokens: Vec<_> = cookies
            .into_iter()
            .map(|(_, token)| token)
            .take(SESSION_COOKIES_MAX)
            .collect();
        (!tokens.is_empty()).then_some(Self::Cookies(tokens))
    }

    pub(super) fn tokens(&self) -> &[&'a str] {
        match self {
            Self::Bearer(token) => slice::from_ref(token),
            Self::Cookies(tokens) => tokens,
            Self::Unreadable => &[],
        }
    }
}

/// Whether a value has the three parts of a token.
fn is_token(value: &str) -> bool {
    value.split('.').count() == 3
}

/// Whether the cookie is Clerk's: the plain one, or one with a suffix, by which several
/// applications keep theirs apart on one domain.
fn is_session_cookie(name: &str) -> bool {
    name.strip_prefix(SESSION_COOKIE)
        .is_some_and(|suffix| suffix.is_empty() || suffix.starts_with('_'))
}

/// The user of these credentials, or why they are refused. Nothing is written.
pub(super) async fn user(
    app: &AppState,
    credentials: &Credentials<'_>,
    method: &Method,
    headers: &HeaderMap,
) -> Result<User> {
    match credentials {
        Credentials::Bearer(_) => {}
        // A browser sends the cookies with requests that other sites make; their Origin gives them
        // away.
        Credentials::Cookies(_) => {
            if !method.is_safe() && allowed_origin(app, headers).is_none() {
                return Err(Refusal::OriginNotAllowed.into());
            }
        }
        Credentials::Unreadable => {
            return Err(Refusal::Unauthenticated(
                "The header Authorization must be: Bearer and a session token.",
            )
            .into());
        }
    }
    app.identity.identify(credentials.tokens(), app.now()).await
}

/// Stores the user as their token describes them, unless that is known to be done.
pub(super) async fn remember(app: &AppState, user: User) -> Result<User> {
    if app.users_seen.is_new(&user) {
        app.batchers.users.submit(user.clone()).await?;
        app.users_seen.remember(&user);
    }
    Ok(user)
}

/// The front end that the buyer comes from, or the first where the request does not say.
pub fn origin_of<'a>(app: &'a App, headers: &HeaderMap) -> &'a str {
    let first = || app.config.app_origins.first().map(String::as_str);
    allowed_origin(app, headers)
        .or_else(first)
        .unwrap_or_default()
}

/// The `Origin` of a request, if it is one of ours.
pub fn allowed_origin<'a>(app: &'a App, headers: &HeaderMap) -> Option<&'a str> {
    let origin = headers.get(ORIGIN)?.to_str().ok()?;
    app.config
        .app_origins
        .iter()
        .map(String::as_str)
        .find(|allowed| *allowed == origin)
}

impl<S: Sync> FromRequestParts<S> for CurrentUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Identified>() {
            Some(Identified(user)) => user.clone().map(Self),
            None => Err(Problem::from(Refusal::Unauthenticated(
                "This needs a session token.",
            ))),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let CurrentUser(user) = CurrentUser::from_request_parts(parts, state).await?;
        match user.role {
            Role::Admin => Ok(Self(user)),
            Role::User => Err(Problem::from(Refusal::Forbidden)),
        }
    }
}
