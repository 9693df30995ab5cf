//! What a buyer who cancels gets back: the first step whose hours are met counts.

use crate::domain::field_errors::FieldErrors;

const STEPS_MAX: usize = 10;

/// One step of a cancellation policy: who cancels at least so many hours before gets so much back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyStep {
    /// Before the start.
    pub hours_before: u32,
    /// Of what was paid.
    pub refund_percent: u8,
}

/// The policy of a show that names none: everything back until a day before, then nothing.
pub(super) fn default_policy() -> Vec<PolicyStep> {
    vec![
        PolicyStep {
            hours_before: 24,
            refund_percent: 100,
        },
        PolicyStep {
            hours_before: 0,
            refund_percent: 0,
        },
    ]
}

pub(super) fn check(errors: &mut FieldErrors, steps: &[PolicyStep]) {
    const FIELD: &str = "cancellationPolicy";
    errors.add_if(
        steps.len() > STEPS_MAX,
        FIELD,
        format!("must be at most {STEPS_MAX} steps"),
    );
    let descending = steps.is_sorted_by(|a, b| a.hours_before > b.hours_before);
    errors.add_if(
        !descending,
        FIELD,
        "must have strictly descending hoursBefore",
    );
    let percent_fits = steps.iter().all(|step| step.refund_percent <= 100);
    errors.add_if(
        !percent_fits,
        FIELD,
        "must have a refundPercent of at most 100",
    );
}
