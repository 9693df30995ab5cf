//! Collects what is wrong with a request, so that all of it is named at once.

use super::refusal::{FieldError, Refusal};

/// What is wrong so far, field by field.
#[derive(Debug, Default)]
pub(super) struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    pub(super) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError {
            field: field.into(),
            message: message.into(),
        });
    }

    pub(super) fn add_if(
        &mut self,
        wrong: bool,
        field: impl Into<String>,
        message: impl Into<String>,
    ) {
        if wrong {
            self.add(field, message);
        }
    }

    /// The value, or what is wrong with it.
    pub(super) fn take<T>(&mut self, result: Result<T, Self>) -> Option<T> {
        result.map_err(|errors| self.0.extend(errors.0)).ok()
    }

    /// `value` if nothing was wrong, else all that was.
    pub(super) fn finish<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl From<FieldErrors> for Refusal {
    fn from(errors: FieldErrors) -> Self {
        Self::ValidationFailed(errors.0)
    }
}
