//! The settings of the logs.

use tracing_subscriber::EnvFilter;

use super::reader::Reader;
use super::settings::LogConfig;

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    pub(super) fn log(&mut self) -> LogConfig {
        let format = self
            .optional("LOG_FORMAT")
            .unwrap_or_else(|| "pretty".to_owned());
        if !["pretty", "json"].contains(&format.as_str()) {
            self.mistake("LOG_FORMAT", "must be pretty or json");
        }
        let filter = self
            .optional("RUST_LOG")
            .unwrap_or_else(|| "info".to_owned());
        if filter.parse::<EnvFilter>().is_err() {
            self.mistake(
                "RUST_LOG",
                "is not a log filter; an example is info,holdfast=debug",
            );
        }
        let json = format == "json";
        LogConfig { json, filter }
    }
}
