//! What a page of Stripe's list has come to.

use crate::domain::reconciliation::Findings;

/// One page of what Stripe has, compared.
pub(super) struct Compared {
    pub(super) findings: Findings,
    /// The last object of the page, if there are more after it.
    pub(super) next_after: Option<String>,
}
