//! Keeps the issuer's keys at hand, so that requests do not wait for it.

use std::time::Duration;

use tokio::time::sleep;

use crate::app::App;

/// How often it is looked whether the keys are due. How often the issuer is asked does not depend
/// on it.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps them for ever.
pub(super) async fn keep_issuer_keys(app: &App) {
    loop {
        app.identity.keep_keys(app.now()).await;
        sleep(LOOK).await;
    }
}
