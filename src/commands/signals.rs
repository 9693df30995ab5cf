//! What ends a command that would go on.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Ends with the first SIGTERM or SIGINT from now on.
pub(super) fn stop() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
