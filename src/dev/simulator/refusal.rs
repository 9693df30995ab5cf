//! Stripe's error answers: the body, the status, and whether the endpoint had begun to execute when
//! it refused.

use serde_json::{Map, Value, json};

/// One error of the API, as [documented](https://docs.stripe.com/api/errors).
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// Whether the endpoint had begun to execute. Only then is the answer
    /// [kept](https://docs.stripe.com/api/idempotent_requests) under the idempotency key.
    pub(super) executed: bool,
    fields: Map<String, Value>,
}

impl Refusal {
    /// An error with its status and Stripe's `type`; nothing else is set and nothing was executed.
    pub(super) fn new(status: u16, kind: &str, message: impl Into<String>) -> Self {
        let refusal = Self {
            status,
            executed: false,
            fields: Map::new(),
        };
        refusal
            .about("type", kind.into())
            .about("message", message.into().into())
    }

    /// A parameter that fails validation.
    pub(super) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message).about("param", param.into().into())
    }

    /// A required parameter that was not sent.
    pub(super) fn missing(param: &str) -> Self {
        Self::invalid(param, format!("Missing required param: {param}.")).code("parameter_missing")
    }

    /// A well-formed request that the state of the object forbids.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message).executed()
    }

    /// An id that names nothing; `param` is the parameter that carried it.
    pub(super) fn no_such(noun: &str, id: &str, param: &str) -> Self {
        let mut refusal = Self::invalid(param, format!("No such {noun}: '{id}'"))
            .code("resource_missing")
            .executed();
        refusal.status = 404;
        refusal
    }

    /// A charge that the issuer declined.
    pub(super) fn card(code: &str, decline_code: Option<&str>, message: &str) -> Self {
        let refusal = Self::new(402, "card_error", message).code(code).executed();
        match decline_code {
            Some(decline_code) => refusal.about("decline_code", decline_code.into()),
            None => refusal,
        }
    }

    /// Adds Stripe's `code` and the page that explains it.
    pub(super) fn code(self, code: &str) -> Self {
        let page = code.replace('_', "-");
        self.about("code", code.into()).about(
            "doc_url",
            format!("https://docs.stripe.com/error-codes/{page}").into(),
        )
    }

    pub(super) fn executed(mut self) -> Self {
        self.executed = true;
        self
    }

    /// Adds a field, such as the `payment_intent` that the error is about.
    pub(super) fn about(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.into(), value);
        self
    }

    pub(super) fn message(&self) -> &str {
        let message = self.fields.get("message").and_then(Value::as_str);
        message.unwrap_or_default()
    }

    /// The error's fields without the request they belong to, as `last_payment_error` shows them.
    pub(super) fn fields(&self) -> Map<String, Value> {
        self.fields.clone()
    }

    /// The answer's body for the request `request_id`.
    pub(super) fn body(&self, request_id: &str) -> Value {
        let mut fields = self.fields();
        fields.insert(
            "request_log_url".into(),
            format!("https://dashboard.stripe.com/test/logs/{request_id}").into(),
        );
        json!({ "error": fields })
    }
}
