//! `holdfast dev`: everything on this machine, with nothing configured.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::TimeDelta;
use holdfast::app::{self, AppState, Clock};
use holdfast::config::{self, BIND_DEFAULT, Config};
use holdfast::dev::identity::{Issuer, IssuerSettings, Site};
use holdfast::dev::postgres::{LocalPostgres, Settings};
use holdfast::dev::simulator::{Endpoint, Options, Simulator};
use holdfast::repositories::database;
use holdfast::workflows::{self, seed};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::failure::Failure;
use super::output::say;
use super::serve;

/// Where everything is kept.
const DATA: &str = ".data";
const SIMULATOR: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 12_111);
const ISSUER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 12_112);
const WEBHOOK_SECRET: &str = "whsec_holdfast_dev";
const SECRET_KEY: &str = "sk_test_holdfast_dev";
/// Long enough to paste a token in the evening and use it in the morning.
const TOKEN_LIFE: TimeDelta = TimeDelta::days(7);
/// A stopped `dev` is often started again at once.
const POSTGRES_LINGER_SECONDS: u32 = 10;

pub(super) async fn run() -> Result<(), Failure> {
    let bind: SocketAddr = config::environment("BIND")
        .unwrap_or_else(|| BIND_DEFAULT.to_owned())
        .parse()?;
    let listener = serve::listen(bind).await?;
    let bind = listener.local_addr()?;
    let api = format!("http://localhost:{}", bind.port());
    let (database_url, _postgres) = database().await?;
    let issuer = issuer(&api).await?;
    let simulator = simulator(&format!("http://{bind}/api/stripe")).await?;
    let world = World {
        database_url,
        bind,
        issuer,
        simulator,
    };
    let app = workflows::build_app(
        Config::read(|variable| world.setting(variable))?,
        Clock::system(),
    )?;
    database::migrate(&app::command_pool(&app.config.database_url)?).await?;
    seed::load(&app.pools.requests, app.now(), |_, _| ()).await?;
    world.introduce(&app, &api)?;
    serve::until_stopped(listener, app).await
}

/// What `dev` starts around the API.
struct World {
    database_url: String,
    bind: SocketAddr,
    issuer: Issuer,
    simulator: Simulator,
}

impl World {
    /// The settings of the world that was started; those that are about the API itself come from
    /// the environment.
    fn setting(&self, variable: &str) -> Option<String> {
        match variable {
            "DATABASE_URL" => Some(self.database_url.clone()),
            "BIND" => Some(self.bind.to_string()),
            "STRIPE_SECRET_KEY" => Some(SECRET_KEY.to_owned()),
            "STRIPE_WEBHOOK_SECRET" => Some(WEBHOOK_SECRET.to_owned()),
            "STRIPE_API_BASE" => Some(self.simulator.url()),
            "CLERK_ISSUER" => Some(self.issuer.url()),
            // The site comes first: that is where a buyer without a front end of their own returns
            // to.
            "APP_ORIGINS" => {
                let own = config::environment(variable)
                    .unwrap_or_else(|| "http://localhost:5173".to_owned());
                Some(format!("{},{own}", self.issuer.url()))
            }
            "STRIPE_PUBLISHABLE_KEY" | "CLERK_JWKS_URL" | "CLERK_AUTHORIZED_PARTIES" => None,
            _ => config::environment(variable),
        }
    }

    fn introduce(&self, app: &AppState, api: &str) -> io::Result<()> {
        let now = app.now();
        say(&format!(
            "\nHoldfast is up.\n\n  book and pay in a browser   {}",
            self.issuer.url()
        ))?;
        say(&format!("  API                         {api}/api/shows"))?;
        say(&format!(
            "  Stripe simulator            {}\n",
            self.simulator.url()
        ))?;
        say(&format!(
            "export CUSTOMER={}\n",
            self.issuer.customer_token(now, TOKEN_LIFE)
        ))?;
        say(&format!(
            "export ADMIN={}\n",
            self.issuer.admin_token(now, TOKEN_LIFE)
        ))?;
        say("Ctrl-C stops everything; the data stays in .data/.")
    }
}

/// The database of the environment, or one of our own for as long as the second value lives.
async fn database() -> Result<(String, Option<LocalPostgres>), Failure> {
    if let Some(url) = config::environment("DATABASE_URL").filter(|url| !url.trim().is_empty()) {
        return Ok((url, None));
    }
    let settings = Settings {
        directory: PathBuf::from(DATA).join("postgres"),
        durable: true,
        linger_seconds: POSTGRES_LINGER_SECONDS,
    };
    let postgres = tokio::task::spawn_blocking(move || LocalPostgres::open(&settings)).await??;
    let options = postgres.connect_options();
    create_database(&options).await?;
    Ok((
        options.database("holdfast").to_url_lossy().to_string(),
        Some(postgres),
    ))
}

async fn create_database(options: &PgConnectOptions) -> Result<(), Failure> {
    let mut connection = options.connect().await?;
    database::create(&mut connection).await?;
    Ok(())
}

async fn issuer(api: &str) -> io::Result<Issuer> {
    let start = async |bind| {
        let key_file = Some(PathBuf::from(DATA).join("identity-key"));
        Issuer::start(IssuerSettings {
            bind,
            key_file,
            site: Some(Site {
                api: api.to_owned(),
            }),
        })
        .await
    };
    match start(ISSUER).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => start(any_port(ISSUER)).await,
        started => started,
    }
}

async fn simulator(webhook_url: &str) -> io::Result<Simulator> {
    let start = async |bind| {
        let endpoint = Endpoint {
            url: webhook_url.to_owned(),
            secret: WEBHOOK_SECRET.to_owned(),
            api_version: None,
        };
        let data_file = Some(PathBuf::from(DATA).join("stripe-simulator.json"));
        Simulator::start(Options {
            bind,
            endpoints: vec![endpoint],
            data_file,
            now: None,
        })
        .await
    };
    match start(SIMULATOR).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => start(any_port(SIMULATOR)).await,
        started => started,
    }
}

/// For a second `dev` on the same machine.
fn any_port(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), 0)
}
