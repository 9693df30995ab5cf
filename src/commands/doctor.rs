//! `holdfast doctor`: is everything there that `serve` needs? A line each, and a remedy where not.

use std::process::ExitCode;

use chrono::TimeDelta;
use holdfast::app::{self, App, Clock, Skew};
use holdfast::config::{Config, Environment};
use holdfast::error::{Error, explain};
use holdfast::repositories::{database, rights, untrusted_forwarders};
use holdfast::workflows::audit::{Chain, follow_chain};
use holdfast::workflows::{self, reconciliation};
use sqlx::{Connection as _, PgConnection};

use super::failure::{Failure, unusable};
use super::output::say;

/// Of what needs the database, and there is none.
const NOT_CHECKED: &str = "not checked, for want of a database";
/// Of what only a key that works can tell.
const NO_KEY: &str = "not checked, for want of a key that Stripe accepts";

/// For how long it is remembered who has forwarded requests.
const FORWARDERS_LOOKED_BACK: TimeDelta = TimeDelta::days(7);

/// What a check has found.
enum Finding {
    /// All is well, with a remark.
    Well(String),
    /// `serve` works, but somebody should look.
    Warning(String),
    /// `serve` does not work; what to do.
    Failed(String),
}

impl From<Result<String, String>> for Finding {
    fn from(found: Result<String, String>) -> Self {
        found.map_or_else(Self::Failed, Self::Well)
    }
}

pub(super) async fn run(environment: &Environment) -> Result<ExitCode, Failure> {
    let config = match Config::read(|variable| environment.get(variable)) {
        Ok(config) => config,
        Err(error) => {
            for mistake in error.0 {
                report(mistake.variable, &Finding::Failed(mistake.remedy))?;
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
    let (database, identity, stripe) = tokio::join!(database(&app), identity(&app), stripe(&app));
    let findings = [
        (
            "configuration",
            Finding::Well(format!("complete, Stripe in {mode} mode")),
        ),
        ("database", database.reached),
        ("migrations", database.migrations),
        ("audit log", database.audit_log),
        ("database rights", database.rights),
        ("proxies", database.proxies),
        ("issuer", identity),
        ("clock", clock(database.skew, stripe.skew)),
        ("Stripe key", stripe.key),
        ("Stripe rights", stripe.rights),
    ];
    for (name, finding) in &findings {
        report(name, finding)?;
    }
    let is_failed = |(_, finding): &(_, Finding)| matches!(finding, Finding::Failed(_));
    Ok(if findings.iter().any(is_failed) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn report(name: &str, finding: &Finding) -> std::io::Result<()> {
    match finding {
        Finding::Well(remark) => say(&format!("ok    {name}: {remark}")),
        Finding::Warning(remark) => say(&format!("WARN  {name}: {remark}")),
        Finding::Failed(remedy) => say(&format!("FAIL  {name}: {remedy}")),
    }
}

struct DatabaseFindings {
    reached: Finding,
    migrations: Finding,
    audit_log: Finding,
    rights: Finding,
    proxies: Finding,
    skew: Option<Skew>,
}

async fn database(app: &App) -> DatabaseFindings {
    let mut db = match app::connect(&app.config.database_url).await {
        Ok(db) => db,
        Err(error) => {
            return DatabaseFindings {
                reached: Finding::Failed(unusable(&error)),
                migrations: Finding::Failed(NOT_CHECKED.to_owned()),
                audit_log: Finding::Failed(NOT_CHECKED.to_owned()),
                rights: Finding::Failed(NOT_CHECKED.to_owned()),
                proxies: Finding::Failed(NOT_CHECKED.to_owned()),
                skew: None,
            };
        }
    };
    let schema = match database::schema(&mut db).await {
        Ok(schema) => schema.suits(),
        Err(error) => Err(explain(&error)),
    };
    DatabaseFindings {
        audit_log: if schema.is_ok() {
            audit_log(&mut db).await
        } else {
            Finding::Failed(NOT_CHECKED.to_owned())
        },
        rights: if schema.is_ok() {
            database_rights(&mut db).await
        } else {
            Finding::Failed(NOT_CHECKED.to_owned())
        },
        proxies: if schema.is_ok() {
            proxies(app, &mut db).await
        } else {
            Finding::Failed(NOT_CHECKED.to_owned())
        },
        // The row that is written to is part of the schema.
        reached: if schema.is_ok() {
            try_write(app, &mut db).await
        } else {
            Finding::Well("reached".to_owned())
        },
        migrations: schema.into(),
        skew: app.database_skew(&mut db).await.ok(),
    }
}

async fn audit_log(db: &mut PgConnection) -> Finding {
    match follow_chain(db).await {
        Ok(Chain::Holds(end)) => {
            Finding::Well(format!("its chain of {} entries holds", end.number))
        }
        Ok(Chain::BreaksAt(number)) => Finding::Failed(format!(
            "the chain breaks at entry {number}: it, or one before it, was changed or taken out"
        )),
        Err(error) => Finding::Failed(explain(&error)),
    }
}

async fn database_rights(db: &mut PgConnection) -> Finding {
    match rights::owns_tables(db).await {
        Ok(false) => Finding::Well("the role of DATABASE_URL owns nothing".to_owned()),
        Ok(true) => Finding::Warning(
            "the role of DATABASE_URL owns the tables, so that who gets hold of it can switch off \
             what guards the money; give `migrate` a role of its own in MIGRATION_DATABASE_URL"
                .to_owned(),
        ),
        Err(error) => Finding::Failed(explain(&error)),
    }
}

/// Who has sent `X-Forwarded-For` to a server of this database, and was not believed.
async fn proxies(app: &App, db: &mut PgConnection) -> Finding {
    let since = app.now() - FORWARDERS_LOOKED_BACK;
    match untrusted_forwarders::list(db, since).await {
        Ok(forwarders) if forwarders.is_empty() => {
            Finding::Well("nobody has forwarded a request who is not trusted".to_owned())
        }
        Ok(forwarders) => Finding::Warning(format!(
            "X-Forwarded-For has come from {}, and was not believed; put those that are proxies of \
             yours into TRUSTED_PROXIES, else all behind one of them share one allowance",
            forwarders.join(", ")
        )),
        Err(error) => Finding::Failed(explain(&error)),
    }
}

async fn try_write(app: &App, db: &mut PgConnection) -> Finding {
    let written = async {
        let mut tx = db.begin().await?;
        database::try_write(&mut *tx, app.now()).await?;
        tx.rollback().await?;
        Ok::<_, Error>(())
    };
    let written = written
        .await
        .map(|()| "reached, and takes writes".to_owned());
    written.map_err(|error| unusable(&error)).into()
}

async fn identity(app: &App) -> Finding {
    // An issuer that is slow is not one that is away.
    app.identity.keep_keys(app.now()).await;
    let keys = app.identity.ready(app.now()).await;
    keys.map(|()| "its keys are at hand".to_owned())
        .map_err(|error| format!("{error}; check CLERK_ISSUER and CLERK_JWKS_URL"))
        .into()
}

/// Our clock beside those that could be asked.
fn clock(postgres: Option<Skew>, stripe: Option<Skew>) -> Finding {
    let known = [("Postgres", postgres), ("Stripe", stripe)];
    let known = known.map(|(whose, skew)| Some((whose, skew?)));
    let known: Vec<_> = known.into_iter().flatten().collect();
    let said = known
        .iter()
        .map(|(whose, skew)| format!("{skew} that of {whose}"));
    let said = said.collect::<Vec<_>>().join(", ");
    let is_any = |of: fn(Skew) -> bool| known.iter().any(|(_, skew)| of(*skew));
    if known.is_empty() {
        Finding::Warning("nobody else could be asked for the time".to_owned())
    } else if is_any(Skew::is_too_large) {
        Finding::Failed(format!("{said}; set it right, by NTP for example"))
    } else if is_any(Skew::is_noticeable) {
        Finding::Warning(format!("{said}; is NTP running?"))
    } else {
        Finding::Well(said)
    }
}

struct StripeFindings {
    key: Finding,
    /// What the key may read.
    rights: Finding,
    /// Unknown where Stripe does not say what time it is there.
    skew: Option<Skew>,
}

async fn stripe(app: &App) -> StripeFindings {
    let before = app.now();
    let probe = match app.stripe.probe().await {
        Ok(probe) => probe,
        Err(error) => {
            let remedy =
                format!("Stripe cannot be reached: {error}; check STRIPE_API_BASE and the network");
            return StripeFindings {
                key: Finding::Failed(remedy),
                rights: Finding::Failed(NO_KEY.to_owned()),
                skew: None,
            };
        }
    };
    let key = if probe.key_works {
        Ok("accepted".to_owned())
    } else {
        Err("refused by Stripe; copy STRIPE_SECRET_KEY again from the dashboard".to_owned())
    };
    StripeFindings {
        rights: if probe.key_works {
            rights(app).await
        } else {
            Finding::Failed(NO_KEY.to_owned())
        },
        key: key.into(),
        skew: probe.stripe_time.map(|theirs| app.skew(before, theirs)),
    }
}

/// Whether each list is given that reconciliations compare: `serve` works without, but what is
/// missing there is never found by it.
async fn rights(app: &App) -> Finding {
    let missing = reconciliation::missing_rights(app).await;
    if missing.is_empty() {
        return Finding::Well("all that is compared with Stripe may be read".to_owned());
    }
    Finding::Warning(format!(
        "not given to read: {}; give the restricted key these rights in Stripe's dashboard, or \
         what Stripe has of them is not compared",
        missing.join(", ")
    ))
}
