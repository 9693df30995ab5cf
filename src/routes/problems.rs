//! The problems that are not one endpoint's own: their statuses and codes, and which endpoints of
//! an audience have them.

use axum::http::Method;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};

/// Problems that the same endpoints have.
pub(super) struct GeneralProblems {
    pub(super) of: Endpoints,
    pub(super) codes: &'static [(&'static str, &'static str)],
}

/// Some endpoints of an audience.
#[derive(Clone, Copy)]
pub(super) enum Endpoints {
    All,
    /// Those that do more than read.
    Unsafe,
    WithPathParameters,
    WithQuery,
    WithBody,
    WithIdempotencyKey,
}

/// Of the public, and of all who sign in.
pub(super) const GENERAL: &[GeneralProblems] = &[
    GeneralProblems {
        of: Endpoints::All,
        codes: &[
            ("429", "rate_limited"),
            ("500", "internal"),
            ("503", "database_unavailable"),
        ],
    },
    GeneralProblems {
        of: Endpoints::WithPathParameters,
        codes: &[("400", "malformed_request"), ("404", "not_found")],
    },
    GeneralProblems {
        of: Endpoints::WithQuery,
        codes: &[("422", "validation_failed {errors}")],
    },
    GeneralProblems {
        of: Endpoints::WithBody,
        codes: &[
            ("400", "malformed_request"),
            ("408", "request_timeout"),
            ("413", "body_too_large"),
            ("415", "unsupported_media_type"),
            ("422", "validation_failed {errors}"),
        ],
    },
    GeneralProblems {
        of: Endpoints::WithIdempotencyKey,
        codes: &[
            ("409", "idempotency_in_progress"),
            ("422", "idempotency_key_reused"),
        ],
    },
];

/// Of those who sign in.
pub(super) const SIGNED_IN: &[GeneralProblems] = &[
    GeneralProblems {
        of: Endpoints::All,
        codes: &[("401", "unauthenticated"), ("503", "identity_unavailable")],
    },
    GeneralProblems {
        of: Endpoints::Unsafe,
        codes: &[("403", "origin_not_allowed")],
    },
];

/// Of those who need the role `admin`.
pub(super) const ADMIN: &[GeneralProblems] = &[GeneralProblems {
    of: Endpoints::All,
    codes: &[("403", "forbidden")],
}];

/// Of providers that sign what they post.
pub(super) const SIGNED: &[GeneralProblems] = &[GeneralProblems {
    of: Endpoints::All,
    codes: &[
        ("400", "invalid_signature"),
        ("400", "malformed_request"),
        ("408", "request_timeout"),
        ("413", "body_too_large"),
        ("500", "internal"),
        ("503", "database_unavailable"),
    ],
}];

impl Endpoints {
    pub(super) fn contain(self, method: &Method, operation: &Operation) -> bool {
        match self {
            Self::All => true,
            Self::Unsafe => !method.is_safe(),
            Self::WithPathParameters => takes(operation, &ParameterIn::Path),
            Self::WithQuery => takes(operation, &ParameterIn::Query),
            Self::WithBody => operation.request_body.is_some(),
            Self::WithIdempotencyKey => {
                parameters(operation).any(|parameter| parameter.name == "Idempotency-Key")
            }
        }
    }
}

fn takes(operation: &Operation, place: &ParameterIn) -> bool {
    parameters(operation).any(|parameter| parameter.parameter_in == *place)
}

fn parameters(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    let parameters = operation.parameters.iter().flatten();
    parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    })
}
