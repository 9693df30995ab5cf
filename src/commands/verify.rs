//! `holdfast verify`: is what is stored what Stripe's events come to, and do all sums come out?

use std::process::ExitCode;

use holdfast::app::Clock;
use holdfast::config::{Config, Environment};
use holdfast::repositories::database;
use holdfast::workflows::audit::{Chain, follow_chain};
use holdfast::workflows::verification::{self, Findings, Progress};

use super::failure::{Failure, connect};
use super::output::say;
use super::progress::Bar;
use super::signals;

pub(super) async fn run(environment: &Environment) -> Result<ExitCode, Failure> {
    let roles = Config::read_roles(|variable| environment.get(variable))?;
    let url = roles.of_owner();
    let mut db = connect(url).await?;
    database::schema(&mut db).await?.suits()?;
    let chain = follow_chain(&mut db).await?;
    let bar = Bar::new("bookings");
    let now = Clock::system().now();
    let mut findings = Findings::default();
    let show = |progress: Progress| bar.show(progress.done, progress.of);
    let verified = verification::verify(url, now, signals::stop()?, &mut findings, show).await;
    bar.end();
    let code = report(&findings, chain, verified.is_ok())?;
    verified?;
    Ok(code)
}

fn report(findings: &Findings, chain: Chain, is_at_end: bool) -> Result<ExitCode, Failure> {
    for difference in &findings.differences {
        say(&format!("DIFFERS  {difference}"))?;
    }
    if findings.more > 0 {
        say(&format!("DIFFERS  {} times more", findings.more))?;
    }
    let is_whole = match chain {
        Chain::Holds(_) => true,
        Chain::BreaksAt(number) => {
            say(&format!(
                "DIFFERS  audit log: stored entry {number}, the chain says that it, or one before \
                 it, was changed or taken out"
            ))?;
            false
        }
    };
    let Findings {
        bookings, events, ..
    } = findings;
    let read = format!("{bookings} bookings and {events} events");
    if !is_at_end {
        say(&format!("FAIL  {read} were looked at, and then no more"))?;
        return Ok(ExitCode::FAILURE);
    }
    if is_whole && findings.differences.is_empty() {
        say(&format!(
            "ok    {read}: what is stored is what they come to, and all sums come out"
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("FAIL  {read}: not all is as it should be"))?;
    Ok(ExitCode::FAILURE)
}
