//! `holdfast doctor`: is everything there that `serve` needs? A line each, and a remedy where not.

use std::process::ExitCode;

use chrono::TimeDelta;
use holdfast::app::{self, App, Clock};
use holdfast::config::{self, Config};
use holdfast::error::explain;
use holdfast::repositories::database;
use holdfast::workflows;

use super::failure::{Failure, unusable};
use super::output::say;

/// Webhook signatures are good for five minutes, so a clock that is off by one has four left.
const SKEW_MAX: TimeDelta = TimeDelta::seconds(60);

/// What a check has found: fine, with a remark, or not, with a remedy.
type Finding = Result<String, String>;

pub(super) async fn run() -> Result<ExitCode, Failure> {
    let config = match Config::read(config::environment) {
        Ok(config) => config,
        Err(error) => {
            for mistake in error.0 {
                report(mistake.variable, &Err(mistake.remedy))?;
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    let mode = if config.stripe.livemode() {
        "live"
    } else {
        "test"
    };
    let app = workflows::build_app(config, Clock::system())?;
    let (database, identity, (clock, key)) =
        tokio::join!(database(&app), identity(&app), stripe(&app));
    let findings = [
        (
            "configuration",
            Ok(format!("complete, Stripe in {mode} mode")),
        ),
        ("database", database.0),
        ("migrations", database.1),
        ("issuer", identity),
        ("clock", clock),
        ("Stripe key", key),
    ];
    for (name, finding) in &findings {
        report(name, finding)?;
    }
    let well = findings.iter().all(|(_, finding)| finding.is_ok());
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn report(name: &str, finding: &Finding) -> std::io::Result<()> {
    match finding {
        Ok(remark) => say(&format!("ok    {name}: {remark}")),
        Err(remedy) => say(&format!("FAIL  {name}: {remedy}")),
    }
}

async fn database(app: &App) -> (Finding, Finding) {
    let mut connection = match app::connect(&app.config.database_url).await {
        Ok(connection) => connection,
        Err(error) => {
            return (
                Err(unusable(&error)),
                Err("not checked, for want of a database".to_owned()),
            );
        }
    };
    let migrations = match database::schema(&mut connection).await {
        Ok(schema) => schema.suits(),
        Err(error) => Err(explain(&error)),
    };
    // The row that is written to is part of the schema.
    let database = match &migrations {
        Ok(_) => database::try_write(&mut connection, app.now()).await,
        Err(_) => Ok(()),
    };
    let database = match database {
        Ok(()) => Ok("reached".to_owned()),
        Err(error) => Err(unusable(&error)),
    };
    (database, migrations)
}

async fn identity(app: &App) -> Finding {
    let keys = app.identity.ready(app.now()).await;
    keys.map(|()| "its keys are at hand".to_owned())
        .map_err(|error| format!("{error}; check CLERK_ISSUER and CLERK_JWKS_URL"))
}

/// The clock against Stripe's, and whether the key works.
async fn stripe(app: &App) -> (Finding, Finding) {
    let probe = match app.stripe.probe().await {
        Ok(probe) => probe,
        Err(error) => {
            let remedy =
                format!("Stripe cannot be reached: {error}; check STRIPE_API_BASE and the network");
            return (Err(remedy.clone()), Err(remedy));
        }
    };
    let clock = match probe.stripe_time {
        None => Err("Stripe did not say what time it is there".to_owned()),
        Some(theirs) => {
            let skew = app.now().signed_duration_since(theirs);
            let remark = format!("{} s from Stripe's", skew.num_seconds());
            if skew.abs() <= SKEW_MAX {
                Ok(remark)
            } else {
                Err(format!("{remark}; set it right, by NTP for example"))
            }
        }
    };
    let key = if probe.key_works {
        Ok("accepted".to_owned())
    } else {
        Err("refused by Stripe; copy STRIPE_SECRET_KEY again from the dashboard".to_owned())
    };
    (clock, key)
}
