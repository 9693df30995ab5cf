//! `holdfast dev`: everything on this machine, with nothing configured.

use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::TimeDelta;
use clap::Args;
use holdfast::app::{self, AppState, Clock};
use holdfast::config::{BIND_DEFAULT, Config, Environment};
use holdfast::dev::identity::{Issuer, IssuerSettings, Site};
use holdfast::dev::loopback::only_here;
use holdfast::dev::postgres::{self, LocalPostgres};
use holdfast::dev::simulator::{Endpoint, Options, Simulator};
use holdfast::dev::webhook_secret;
use holdfast::repositories::{database, dev_mark};
use holdfast::routes;
use holdfast::workflows::{self, seed};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::exposure::{EXPOSE_HELP, check_exposure};
use super::failure::{Failure, connect};
use super::output::say;
use super::serve;

/// Where everything is kept.
const DATA: &str = ".data";
const SIMULATOR: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 12_111);
const ISSUER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 12_112);
const SECRET_KEY: &str = "sk_test_holdfast_dev";
/// Long enough to paste a token in the evening and use it in the morning.
const TOKEN_LIFE: TimeDelta = TimeDelta::days(7);
/// A stopped `dev` is often started again at once.
const POSTGRES_LINGER_SECONDS: u32 = 10;

/// What `dev` does other than usual.
#[derive(Args)]
pub(crate) struct Settings {
    /// Use the database that `DATABASE_URL` names: an empty one, or one that `dev` has used before.
    #[arg(long)]
    external_database: bool,
    #[arg(long, help = EXPOSE_HELP)]
    expose: bool,
}

pub(super) async fn run(settings: &Settings, environment: &Environment) -> Result<(), Failure> {
    let bind: SocketAddr = environment
        .get("BIND")
        .unwrap_or_else(|| BIND_DEFAULT.to_owned())
        .parse()?;
    check_exposure(bind, settings.expose)?;
    let listener = serve::listen(bind).await?;
    let bind = listener.local_addr()?;
    let api = format!("http://localhost:{}", bind.port());
    let (database_url, _postgres) = if settings.external_database {
        (external_database(environment).await?, None)
    } else {
        let (url, postgres) = own_database().await?;
        (url, Some(postgres))
    };
    let webhook_secret = webhook_secret::load_or_create(&PathBuf::from(DATA))?;
    let issuer = issuer(&api).await?;
    let simulator = simulator(&format!("http://{bind}/api/stripe"), &webhook_secret).await?;
    let world = World {
        environment,
        database_url,
        webhook_secret,
        bind,
        issuer,
        simulator,
    };
    let app = workflows::build_app(
        Config::read(|variable| world.setting(variable))?,
        Clock::system(),
    )?;
    let db = app::command_pool(&app.config.database_url)?;
    database::migrate(&db).await?;
    dev_mark::mark(&db, app.now()).await?;
    seed::load(&app.pools.requests, app.now(), |_, _| ()).await?;
    world.introduce(&app, &api)?;
    let router = only_here(routes::router(AppState::clone(&app)), bind);
    serve::until_stopped(listener, router, app, ready(Ok(()))).await
}

/// What `dev` starts around the API.
struct World<'a> {
    environment: &'a Environment,
    database_url: String,
    webhook_secret: String,
    bind: SocketAddr,
    issuer: Issuer,
    simulator: Simulator,
}

impl World<'_> {
    /// The settings of the world that was started; those that are about the API itself come from
    /// the environment.
    fn setting(&self, variable: &str) -> Option<String> {
        match variable {
            "DATABASE_URL" => Some(self.database_url.clone()),
            "BIND" => Some(self.bind.to_string()),
            "STRIPE_SECRET_KEY" => Some(SECRET_KEY.to_owned()),
            "STRIPE_WEBHOOK_SECRET" => Some(self.webhook_secret.clone()),
            "STRIPE_API_BASE" => Some(self.simulator.url()),
            "CLERK_ISSUER" => Some(self.issuer.url()),
            // The site comes first: that is where a buyer without a front end of their own returns
            // to.
            "APP_ORIGINS" => {
                let own = self
                    .environment
                    .get(variable)
                    .unwrap_or_else(|| "http://localhost:5173".to_owned());
                Some(format!("{},{own}", self.issuer.url()))
            }
            // Of another account and another issuer, and the files of what is named above.
            "STRIPE_PUBLISHABLE_KEY"
            | "CLERK_JWKS_URL"
            | "CLERK_AUTHORIZED_PARTIES"
            | "DATABASE_URL_FILE"
            | "STRIPE_SECRET_KEY_FILE"
            | "STRIPE_WEBHOOK_SECRET_FILE" => None,
            _ => self.environment.get(variable),
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

/// The database that `DATABASE_URL` names, unless somebody else has something in it.
async fn external_database(environment: &Environment) -> Result<String, Failure> {
    let url = Config::read_database_url(|variable| environment.get(variable))?;
    let mut db = connect(&url).await?;
    if !dev_mark::is_marked(&mut db).await? && !dev_mark::is_empty(&mut db).await? {
        return Err(
            "the database of DATABASE_URL is in use, and not by `holdfast dev`: name an \
             empty one, or leave --external-database out"
                .into(),
        );
    }
    Ok(url.reveal().to_owned())
}

/// A database of our own, for as long as the second value lives.
async fn own_database() -> Result<(String, LocalPostgres), Failure> {
    let settings = postgres::Settings {
        directory: PathBuf::from(DATA).join("postgres"),
        durable: true,
        linger_seconds: POSTGRES_LINGER_SECONDS,
    };
    let postgres = tokio::task::spawn_blocking(move || LocalPostgres::open(&settings)).await??;
    let options = postgres.connect_options();
    create_database(&options).await?;
    let url = options.database("holdfast").to_url_lossy().to_string();
    Ok((url, postgres))
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

async fn simulator(webhook_url: &str, webhook_secret: &str) -> io::Result<Simulator> {
    let start = async |bind| {
        let endpoint = Endpoint {
            url: webhook_url.to_owned(),
            secret: webhook_secret.to_owned(),
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
