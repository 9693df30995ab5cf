//! What is wrong with the settings, all of it at once.

/// Every mistake in the settings, each with its variable and its remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentences())]
pub struct ConfigError(pub Vec<Mistake>);

/// One variable that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong and what to do about it. Never contains a secret.
    pub remedy: String,
}

impl ConfigError {
    fn sentences(&self) -> String {
        let lines = self
            .0
            .iter()
            .map(|mistake| format!("  {}: {}", mistake.variable, mistake.remedy));
        let count = self.0.len();
        let head = format!(
            "{count} setting{} to fix:",
            if count == 1 { "" } else { "s" }
        );
        std::iter::once(head)
            .chain(lines)
            .collect::<Vec<_>>()
            .join("\n")
    }
}
