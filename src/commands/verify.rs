//! `holdfast verify`: is what is stored what Stripe's events come to, and do all sums come out?

use std::process::ExitCode;

use clap::Args;
use holdfast::app::Clock;
use holdfast::config::{Config, Environment};
use holdfast::repositories::database;
use holdfast::workflows::audit::{Chain, ChainEnd, follow_chain, has_ended_so};
use holdfast::workflows::verification::{self, Findings, Progress};
use sqlx::PgConnection;

use super::failure::{Failure, connect};
use super::output::say;
use super::progress::Bar;
use super::signals;

#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// How the audit log ended when that was noted: how many entries, and the last hash.
    ///
    /// An earlier verification has said both. Entries that were cut off since then, and a log that
    /// was written anew, show by this alone.
    #[arg(long, value_name = "COUNT:HASH")]
    audit_was: Option<ChainEnd>,
}

pub(super) async fn run(
    settings: &Settings,
    environment: &Environment,
) -> Result<ExitCode, Failure> {
    let roles = Config::read_roles(|variable| environment.get(variable))?;
    let url = roles.of_owner();
    let mut db = connect(url).await?;
    database::schema(&mut db).await?.suits()?;
    let is_log_whole = check_log(&mut db, settings).await?;
    drop(db);
    let bar = Bar::new("bookings");
    let (now, mut findings) = (Clock::system().now(), Findings::default());
    let show = |progress: Progress| bar.show(progress.done, progress.of);
    let verified = verification::verify(url, now, signals::stop()?, &mut findings, show).await;
    bar.end();
    for difference in &findings.differences {
        say(&format!("DIFFERS  {difference}"))?;
    }
    if findings.more > 0 {
        say(&format!("DIFFERS  {} times more", findings.more))?;
    }
    let Findings {
        bookings, events, ..
    } = findings;
    let read = format!("{bookings} bookings and {events} events");
    if let Err(error) = verified {
        say(&format!("FAIL  {read} were looked at, and then no more"))?;
        return Err(error.into());
    }
    if is_log_whole && findings.differences.is_empty() {
        say(&format!(
            "ok    {read}: what is stored is what they come to, and all sums come out"
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("FAIL  {read}: not all is as it should be"))?;
    Ok(ExitCode::FAILURE)
}

/// Says where the audit log ends, for an operator to note, or how it differs.
async fn check_log(db: &mut PgConnection, settings: &Settings) -> Result<bool, Failure> {
    let end = match follow_chain(db).await? {
        Chain::Holds(end) => end,
        Chain::BreaksAt(number) => {
            say(&format!(
                "DIFFERS  audit log: stored entry {number}, the chain says that it, or one before \
                 it, was changed or taken out"
            ))?;
            return Ok(false);
        }
    };
    let (count, hash) = (end.number, hex::encode(end.hash));
    say(&format!("audit log: {count} entries, last hash {hash}"))?;
    let Some(noted) = &settings.audit_was else {
        return Ok(true);
    };
    let is_whole = has_ended_so(db, noted).await?;
    if !is_whole {
        let noted = noted.number;
        say(&format!(
            "DIFFERS  audit log: stored {count} entries, what was noted says that it ended \
             otherwise with entry {noted}: it was cut off, or written anew"
        ))?;
    }
    Ok(is_whole)
}
