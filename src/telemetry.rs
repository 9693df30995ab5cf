//! Logs and spans: pretty for people, JSON for machines. Never tokens, addresses or bodies.

use tracing_subscriber::EnvFilter;

use crate::config::LogConfig;

/// Begins to write logs to standard error. Only the first call in a process counts.
pub fn init(config: &LogConfig) {
    let filter = EnvFilter::new(&config.filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started =
        if config.json { builder.json().flatten_event(true).try_init() } else { builder.compact().try_init() };
    if started.is_err() {
        tracing::debug!("logging had been started before");
    }
}
