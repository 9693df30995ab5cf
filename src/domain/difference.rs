//! What is stored, and is not what it should be.

use std::fmt;

/// One thing that is stored otherwise than it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is, such as a payment and its id.
    pub subject: String,
    /// What is stored of it, if anything.
    pub stored: Option<String>,
    /// Who says otherwise, such as the replay.
    pub witness: String,
    /// What they say, if anything.
    pub said: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nothing = "nothing";
        write!(
            formatter,
            "{}: stored {}, {} {}",
            self.subject,
            self.stored.as_deref().unwrap_or(nothing),
            self.witness,
            self.said.as_deref().unwrap_or(nothing),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_a_sentence() {
        let difference = Difference {
            subject: "payment 7".to_owned(),
            stored: Some("2400 eur".to_owned()),
            witness: "the replay says".to_owned(),
            said: None,
        };

        let said = "payment 7: stored 2400 eur, the replay says nothing";
        assert_eq!(difference.to_string(), said);
    }
}
