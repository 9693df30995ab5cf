//! `holdfast migrate`: the schema of the database, brought up to date, and what `serve` may do
//! there.

use holdfast::app;
use holdfast::config::{Config, Environment, Secret};
use holdfast::error::explain;
use holdfast::repositories::database::{self, Schema};
use holdfast::repositories::rights;
use sqlx::postgres::PgConnectOptions;

use super::failure::{Failure, connect};
use super::output::say;

pub(super) async fn run(environment: &Environment) -> Result<(), Failure> {
    let roles = Config::read_roles(|variable| environment.get(variable))?;
    let url = roles.of_owner();
    let before = database::schema(&mut connect(url).await?).await?;
    let db = app::command_pool(url)?;
    database::migrate(&db).await?;
    let after = database::schema(&mut connect(url).await?).await?;
    let applied = match before {
        Schema::Outdated(pending) => pending,
        Schema::UpToDate | Schema::Later(_) | Schema::Unsuitable(_) | Schema::Foreign(_) => 0,
    };
    say(&format!("{applied} migrations applied; {}", after.suits()?))?;
    let (owner, role) = (role_of(url)?, role_of(&roles.serve)?);
    if role != owner {
        let mut tx = db.begin().await?;
        rights::grant(&mut tx, &role).await.map_err(|error| {
            format!(
                "the role {role:?} of DATABASE_URL cannot be given its rights: {}",
                explain(&error)
            )
        })?;
        tx.commit().await?;
        say(&format!("the role {role:?} may serve, and nothing else"))?;
    }
    Ok(())
}

fn role_of(url: &Secret) -> Result<String, Failure> {
    let options: PgConnectOptions = url.reveal().parse()?;
    Ok(options.get_username().to_owned())
}
