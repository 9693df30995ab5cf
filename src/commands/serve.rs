//! `holdfast serve`: the API, until it is told to stop.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use holdfast::app::{self, AppState, Clock};
use holdfast::config::{Config, Environment};
use holdfast::error::Result as Found;
use holdfast::jobs;
use holdfast::repositories::{database, dev_mark};
use holdfast::{routes, workflows};
use tokio::net::TcpListener;

use super::failure::{Failure, unusable};
use super::signals;

/// How long requests that are under way may take to end after a stop: as long as one may ask
/// Stripe, and a little.
const DRAIN_MAX: Duration = Duration::from_secs(25);
/// How long after a database could not be looked at it is tried again.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);

pub(super) async fn run(environment: &Environment) -> Result<(), Failure> {
    let config = Config::read(|variable| environment.get(variable))?;
    let app = workflows::build_app(config, Clock::system())?;
    let listener = listen(app.config.bind).await?;
    tracing::info!("serving on http://{}", listener.local_addr()?);
    let router = routes::router(AppState::clone(&app));
    let database = AppState::clone(&app);
    until_stopped(listener, router, app, check_database(&database)).await
}

/// Takes the address, or says what stands in the way.
pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        format!("cannot listen on {address}: {error}; set BIND to another address").into()
    })
}

/// Serves these routes until SIGTERM or SIGINT, and does jobs once the database is found `fit`;
/// then ends what is under way, for at most [`DRAIN_MAX`]. Ends at once where the database is not
/// fit.
pub(super) async fn until_stopped(
    listener: TcpListener,
    router: Router,
    app: AppState,
    fit: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let stopping = app.stopping.clone();
    let stopped = signals::stop()?;
    let stop = stopping.clone();
    tokio::spawn(async move {
        stopped.await;
        tracing::info!("stopping; what is under way goes on for at most {DRAIN_MAX:?}");
        stop.cancel();
    });
    let background = Box::pin(async {
        if let Some(fit) = stopping.run_until_cancelled(fit).await {
            fit?;
            jobs::run(AppState::clone(&app), stopping.clone()).await;
        }
        Ok(())
    });
    let serving = async {
        let proxies = &app.config.trusted_proxies;
        let stop = stopping.clone().cancelled_owned();
        routes::serve(listener, router, proxies, stop).await;
        Ok(())
    };
    let too_long = async {
        stopping.cancelled().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        ended = async { tokio::try_join!(serving, background) } => ended.map(|((), ())| ()),
        () = too_long => {
            tracing::warn!("stopped with work under way");
            Ok(())
        }
    }
}

/// Returns once the database was looked at, with an error where it is one of `dev`'s. Says at once
/// if it, or its schema, is not there, which keeps nobody waiting but jobs: the process lives, and
/// `/ready` says it again.
async fn check_database(app: &AppState) -> Result<(), Failure> {
    let mut is_told = false;
    loop {
        match look_at_database(app).await {
            Ok(true) => {
                return Err(
                    "this database belongs to `holdfast dev`, whose tokens and payments anybody \
                     on that machine can make; set DATABASE_URL to another one"
                        .into(),
                );
            }
            Ok(false) => return Ok(()),
            Err(error) if !is_told => tracing::error!("{}", unusable(&error)),
            Err(_) => {}
        }
        is_told = true;
        tokio::time::sleep(DATABASE_PAUSE).await;
    }
}

/// Whether it is one of `dev`'s; says how its schema stands.
async fn look_at_database(app: &AppState) -> Found<bool> {
    let mut db = app::connect(&app.config.database_url).await?;
    match database::schema(&mut db).await?.suits() {
        Ok(remark) => tracing::info!("{remark}"),
        Err(obstacle) => tracing::error!("{obstacle}"),
    }
    dev_mark::is_marked(&mut db).await
}
