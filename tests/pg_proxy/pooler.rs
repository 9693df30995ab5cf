//! What a connection pooler refuses at the start of a connection, as PgBouncer does.

use tokio::io::{AsyncWriteExt, Result};

/// What PgBouncer takes unless it is told to ignore more: it sets these on the connections that it
/// has. <https://www.pgbouncer.org/config.html#ignore_startup_parameters>
const TAKEN: [&str; 8] = [
    "user",
    "database",
    "application_name",
    "client_encoding",
    "datestyle",
    "intervalstyle",
    "standard_conforming_strings",
    "timezone",
];

/// What a pooler says to the parameters of a start-up message, if it does not take one of them.
pub(super) fn refusal(parameters: &[u8]) -> Option<String> {
    let words = parameters.split(|byte| *byte == 0);
    let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
    let names = words
        .chunks(2)
        .map(|pair| &*pair[0])
        .filter(|name| !name.is_empty());
    let unknown = |name: &&str| !TAKEN.contains(&&*name.to_lowercase());
    let name = names.into_iter().find(unknown)?;
    Some(format!("unsupported startup parameter: {name}"))
}

/// Ends a connection with an error.
/// <https://www.postgresql.org/docs/current/protocol-error-fields.html>
pub(super) async fn refuse(
    client: &mut (impl AsyncWriteExt + Unpin),
    sentence: &str,
) -> Result<()> {
    let fields = format!("SFATAL\0C08P01\0M{sentence}\0\0");
    let length = u32::try_from(fields.len()).unwrap() + 4;
    client.write_u8(b'E').await?;
    client.write_u32(length).await?;
    client.write_all(fields.as_bytes()).await
}
