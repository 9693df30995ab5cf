//! The file `.env`.

/// Adds the variables of a file `.env` here or above to the environment; what is set already stays.
pub fn load_dotenv() -> Result<(), DotenvError> {
    match dotenvy::dotenv() {
        Ok(_) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        Err(dotenvy::Error::LineParse(line, _)) => {
            let variable = line
                .split_once('=')
                .map(|(variable, _)| variable.trim().to_owned());
            Err(DotenvError::Line(variable.unwrap_or_default()))
        }
        Err(error) => Err(DotenvError::Unreadable(error)),
    }
}

/// What is wrong with a file `.env`. Never contains what it holds.
#[derive(Debug, thiserror::Error)]
pub enum DotenvError {
    /// The line that sets this variable, or that sets none, is malformed.
    #[error(
        "the file .env: the line {0:?} cannot be read; \
         write it as NAME=value, with quotes around spaces"
    )]
    Line(String),
    /// It is there but cannot be opened.
    #[error("the file .env cannot be opened")]
    Unreadable(#[source] dotenvy::Error),
}
