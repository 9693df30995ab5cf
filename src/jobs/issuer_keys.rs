//! Keeps the issuer's keys at hand, so that requests do not wait for it.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::app::AppState;

/// How often it is looked whether the keys are due. How often the issuer is asked does not depend
/// on it.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps them until `stopping` is true.
pub async fn keep_issuer_keys(app: AppState, mut stopping: watch::Receiver<bool>) {
    let keeping = async {
        loop {
            app.identity.keep_keys(app.now()).await;
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        _ = stopping.wait_for(|stopping| *stopping) => {}
        () = keeping => {}
    }
}
