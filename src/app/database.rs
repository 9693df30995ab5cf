//! Connections to the database, by what they are for, and transactions on them.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use crate::config::Secret;
use crate::error::{Error, Result, explain};
use crate::repositories::database::set_session;

/// Most requests share theirs with others, in a batch.
const REQUESTS_CONNECTIONS_MAX: u32 = 20;
const PAYMENTS_CONNECTIONS_MAX: u32 = 6;
/// As many as there are jobs at once, the queue's own statements, and the reader of the feed.
const WORKERS_CONNECTIONS_MAX: u32 = 8;
const REPORTING_CONNECTIONS_MAX: u32 = 6;
/// Migrations take one, and one holds the lock.
const COMMAND_CONNECTIONS_MAX: u32 = 2;

/// Requests of one failed batch that are handled alone at once: as many as the smallest pool has
/// connections, so that they do not wait for each other's.
pub const HANDLED_ALONE_MAX: usize = 6;

/// How long a request waits for a connection before it is told that the database is busy.
const POOL_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a connection outside the pools may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A parameter of Postgres, and its value for a session.
type Setting = (&'static str, &'static str);

/// Of every session in a pool.
const LIMITS: [Setting; 4] = [
    // Longer than any statement of ours takes, and shorter than a request may.
    ("statement_timeout", "10s"),
    // Shorter than that, so that who waits for a lock is told so, not that a statement was slow.
    ("lock_timeout", "5s"),
    // A transaction that says nothing for so long was left behind by us, and holds its locks.
    ("idle_in_transaction_session_timeout", "30s"),
    // To compile a plan takes longer than to carry any of ours out.
    ("jit", "off"),
];

/// Of the sessions for statements that find few rows, each by an index, however large the tables
/// are. Wrong for sums, lists and search.
const ROW_BY_ROW: [Setting; 4] = [
    // A plan that was kept while a table was empty must not read all of it later.
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    // The best plan is always the same: to make a new one costs more than to carry it out.
    ("plan_cache_mode", "force_generic_plan"),
];

/// The connections of a process. Each pool has its own name at Postgres, and none can starve
/// another.
pub struct Pools {
    /// For requests of buyers and admins.
    pub requests: PgPool,
    /// For what has been paid, or can be: it must not queue behind thousands who want a seat.
    pub payments: PgPool,
    /// For the job queue, and for the feed of booking events.
    pub workers: PgPool,
    /// For sums, lists, search and exports, which Postgres plans by what it knows of the tables.
    pub reporting: PgPool,
}

impl Pools {
    /// Fails only on a URL that cannot be read.
    pub(super) fn new(url: &Secret) -> Result<Self> {
        let options: PgConnectOptions = url.reveal().parse()?;
        // Nor are hot connections pinged before use: that costs a quarter of the CPU, and a dead
        // one gives an error that the caller is told to repeat.
        let hot = |connections_max, name| {
            pool(connections_max, [LIMITS, ROW_BY_ROW].concat())
                .test_before_acquire(false)
                .connect_lazy_with(named(&options, name))
        };
        let planned = |connections_max, name| {
            pool(connections_max, LIMITS.to_vec()).connect_lazy_with(named(&options, name))
        };
        Ok(Self {
            requests: hot(REQUESTS_CONNECTIONS_MAX, "holdfast requests"),
            payments: hot(PAYMENTS_CONNECTIONS_MAX, "holdfast payments"),
            workers: planned(WORKERS_CONNECTIONS_MAX, "holdfast workers"),
            reporting: planned(REPORTING_CONNECTIONS_MAX, "holdfast reporting"),
        })
    }
}

/// The settings are made in the session and not by the start-up message: connection poolers refuse
/// one that brings any.
fn pool(connections_max: u32, settings: Vec<Setting>) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(POOL_WAIT_MAX)
        .after_connect(move |db, _| {
            let settings = settings.clone();
            Box::pin(async move { set_session(db, &settings).await })
        })
}

/// As poolers accept them: what is said of floating point numbers is what Postgres does anyway.
fn named(options: &PgConnectOptions, name: &str) -> PgConnectOptions {
    let options = options.clone().extra_float_digits(None);
    options.application_name(name)
}

/// A connection outside the pools, for a command: it says at once why it cannot be had, and what it
/// runs may take long.
pub async fn connect(url: &Secret) -> Result<PgConnection> {
    let options = named(&url.reveal().parse()?, "holdfast command");
    let connected = tokio::time::timeout(CONNECT_MAX, PgConnection::connect_with(&options)).await;
    Ok(connected.map_err(|_| Error::fault(format!("no answer within {CONNECT_MAX:?}")))??)
}

/// A pool for a command, without limits: migrations may take their time. Fails only on a URL that
/// cannot be read.
pub fn command_pool(url: &Secret) -> Result<PgPool> {
    let options = named(&url.reveal().parse()?, "holdfast command");
    Ok(PgPoolOptions::new()
        .max_connections(COMMAND_CONNECTIONS_MAX)
        .connect_lazy_with(options))
}

/// Begins a transaction; dropped without a commit, it is rolled back.
///
/// In a task of its own: a caller who is dropped while BEGIN is under way would else leave the
/// connection inside a transaction that sqlx knows nothing of, and what others then write on it
/// would be lost with it.
pub(super) async fn begin(pool: PgPool) -> Result<Transaction<'static, Postgres>> {
    let begun = tokio::spawn(async move { pool.begin().await }).await;
    Ok(begun.map_err(|error| Error::fault(format!("a transaction broke off: {error}")))??)
}

/// Commits. A connection that breaks meanwhile leaves open whether that was done.
pub(super) async fn commit(tx: Transaction<'_, Postgres>) -> Result<()> {
    tx.commit().await.map_err(|error| {
        let error = Error::from(error);
        if error.is_database_unavailable() {
            Error::OutcomeUnknown(explain(&error))
        } else {
            error
        }
    })
}
