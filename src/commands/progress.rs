//! How far a command has come, and how long it will take: shown on a terminal, and nowhere else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often the time that is left is shown anew.
const TICK: Duration = Duration::from_millis(200);

/// A bar on a terminal; where stderr is none, nothing.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Of so many of `what`, as soon as it is known how many.
    pub(super) fn new(what: &'static str) -> Self {
        let template = format!("{{bar:40}} {{pos}} of {{len}} {what}, {{eta}} left");
        let style = ProgressStyle::with_template(&template);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::no_length().with_style(style);
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// So many are done.
    pub(super) fn show(&self, done: u64, of: u64) {
        self.0.set_length(of.max(done));
        self.0.set_position(done);
    }

    /// Leaves the line to what is said next.
    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}
