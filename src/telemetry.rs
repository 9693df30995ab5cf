//! Logs and spans: pretty for people, JSON for machines. Never tokens, addresses or bodies.

use tracing_subscriber::EnvFilter;

use crate::config::LogConfig;

/// The queue logs every job that it looks for, and Postgres every table that is there already. To
/// see them, name them in `RUST_LOG`.
const QUIET: &str = "graphile_worker=warn,sqlx::postgres::notice=warn";

/// Begins to write logs to standard error. Only the first call in a process counts.
pub fn init(config: &LogConfig) {
    let filter = EnvFilter::new(format!("{QUIET},{}", config.filter));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = if config.json {
        builder
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .try_init()
    } else {
        builder.compact().try_init()
    };
    if started.is_err() {
        tracing::debug!("logging had been started before");
    }
}
