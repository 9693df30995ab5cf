//! Who is let in to a handler: it is seen whose request this is, then whether they ask too often,
//! and only then anything is written.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::client_address::ClientAddress;
use super::identity::{Credentials, Identified, remember, user};
use super::problem::Problem;
use super::rate_limit::{Caller, RateLimit};
use crate::app::AppState;
use crate::domain::user::User;

/// What is needed to let a request in.
#[derive(Clone)]
pub struct Admission {
    app: AppState,
    limit: RateLimit,
}

impl Admission {
    /// With one count for each caller, whatever they ask for.
    pub fn new(app: AppState) -> Self {
        let limit = RateLimit::new(app.config.rate_limit_per_minute);
        Self { app, limit }
    }

    /// Refuses, with 429 and `Retry-After`, a caller who asks too often. Credentials that do not
    /// stand are counted apart from the other requests of their address: whoever sends garbage
    /// takes nothing away from their neighbours.
    fn limit(&self, request: &Request, user: Option<&User>, is_refused: bool) -> Option<Response> {
        let proxies = &self.app.config.trusted_proxies;
        let client = ClientAddress::of(request.extensions(), request.headers(), proxies);
        if let Some(forwarder) = client
            .as_ref()
            .and_then(|client| client.untrusted_forwarder)
        {
            self.app.note_untrusted_forwarder(forwarder);
        }
        let address = client.map(|client| client.network);
        let caller = match (user, is_refused) {
            (Some(user), _) => Caller::User(&user.id),
            (None, false) => Caller::Address(address),
            (None, true) => Caller::Refused(address),
        };
        self.limit.refuse(&caller)
    }
}

/// Lets those in who ask for what anybody may see. Whose requests these are is only seen for the
/// limit: nothing is waited for, and credentials that cannot be checked now are none.
pub async fn admit_anyone(
    State(admission): State<Admission>,
    request: Request,
    next: Next,
) -> Response {
    let app = &admission.app;
    let credentials = Credentials::of(request.headers());
    let tokens = credentials.as_ref().map(Credentials::tokens);
    let user = tokens.and_then(|tokens| app.identity.recognise(tokens, app.now()).ok());
    match admission.limit(&request, user.as_ref(), credentials.is_some()) {
        Some(refused) => refused,
        None => next.run(request).await,
    }
}

/// Lets those in who ask for what needs a user, and checks their credentials, if they have any.
/// Handlers that need them refuse those who have not.
pub async fn admit_user(
    State(admission): State<Admission>,
    mut request: Request,
    next: Next,
) -> Response {
    let app = &admission.app;
    let found = match Credentials::of(request.headers()) {
        Some(credentials) => {
            Some(user(app, &credentials, request.method(), request.headers()).await)
        }
        None => None,
    };
    let known = found.as_ref().and_then(|found| found.as_ref().ok());
    if let Some(refused) = admission.limit(&request, known, found.is_some()) {
        return refused;
    }
    if let Some(found) = found {
        let user = match found {
            Ok(user) => remember(app, user).await,
            Err(error) => Err(error),
        };
        let identified = Identified(user.map_err(Problem::from));
        request.extensions_mut().insert(identified);
    }
    next.run(request).await
}
