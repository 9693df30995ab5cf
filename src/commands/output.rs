//! What a command says while it works.

use std::io::Write;

/// Writes a line for a person.
pub(super) fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}
