//! `holdfast serve`: the API, until it is told to stop.

use std::net::SocketAddr;
use std::time::Duration;

use holdfast::app::{self, AppState, Clock};
use holdfast::config::{self, Config};
use holdfast::jobs;
use holdfast::repositories::database::{self, Schema};
use holdfast::{routes, workflows};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::failure::{Failure, unusable};

/// How long requests that are under way may take to end after a stop: as long as one may ask
/// Stripe, and a little.
const DRAIN_MAX: Duration = Duration::from_secs(25);

pub(super) async fn run() -> Result<(), Failure> {
    let app = workflows::build_app(Config::read(config::environment)?, Clock::system())?;
    let listener = listen(app.config.bind).await?;
    tracing::info!("serving on http://{}", listener.local_addr()?);
    // A database that is not there keeps nobody waiting: the process lives, and is not ready.
    tokio::spawn(warn_of_database(AppState::clone(&app)));
    until_stopped(listener, app).await
}

/// Takes the address, or says what stands in the way.
pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        format!("cannot listen on {address}: {error}; set BIND to another address").into()
    })
}

/// Serves, and does jobs, until SIGTERM or SIGINT; then ends what is under way, for at most
/// [`DRAIN_MAX`].
pub(super) async fn until_stopped(listener: TcpListener, app: AppState) -> Result<(), Failure> {
    let stopping = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = stopping.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping; what is under way goes on for at most {DRAIN_MAX:?}");
        stop.cancel();
    });
    let background = Box::pin(jobs::run(AppState::clone(&app), stopping.clone()));
    let serving = routes::serve(listener, app, stopping.clone().cancelled_owned());
    let too_long = async {
        stopping.cancelled().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(serving, background) } => {}
        () = too_long => tracing::warn!("stopped with work under way"),
    }
    Ok(())
}

/// Says so at once if the database or its schema is not there; `/ready` says it again.
async fn warn_of_database(app: AppState) {
    let schema = match app::connect(&app.config.database_url).await {
        Ok(mut db) => database::schema(&mut db).await,
        Err(error) => Err(error),
    };
    match schema.map(Schema::suits) {
        Ok(Ok(remark)) => tracing::info!("{remark}"),
        Ok(Err(obstacle)) => tracing::error!("{obstacle}"),
        Err(error) => tracing::error!("{}", unusable(&error)),
    }
}
