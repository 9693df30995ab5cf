//! Connections to the database, by what they are for, and transactions on them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use crate::config::Secret;
use crate::connection::{Connection, Transaction, Trust, is_broken};
use crate::error::{Error, Result, explain};
use crate::repositories::database::set_session;

/// Most requests share theirs with others, in a batch.
const REQUESTS_CONNECTIONS_MAX: u32 = 20;
const PAYMENTS_CONNECTIONS_MAX: u32 = 6;
/// The reader of the feed, and who watches over the database. What is done once a minute, or less
/// often, borrows one.
const WATCH_CONNECTIONS_MAX: u32 = 2;
/// As many as there are jobs at once, and the queue's own statements.
const QUEUE_CONNECTIONS_MAX: u32 = 8;
const REPORTING_CONNECTIONS_MAX: u32 = 6;
/// Few: what they read is kept for a second, and how much of it strangers ask for must cost others
/// nothing.
const PUBLIC_CONNECTIONS_MAX: u32 = 4;
/// Migrations take one, and one holds the lock.
const COMMAND_CONNECTIONS_MAX: u32 = 2;

/// Requests of a batcher's failed batches that are handled alone at once: as many as the smallest
/// pool has connections, so that they do not wait for each other's.
pub const HANDLED_ALONE_MAX: usize = 6;

/// How long a request waits for a connection before it is told that the database is busy.
const POOL_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a connection outside the pools may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A parameter of Postgres, and its value for a session.
type Setting = (&'static str, &'static str);

/// Of every session in a pool.
const LIMITS: [Setting; 8] = [
    // Longer than any statement of ours takes, and shorter than `SILENCE_MAX`: a slow statement is
    // no silence.
    ("statement_timeout", "7s"),
    // Shorter than that, so that who waits for a lock is told so, not that a statement was slow.
    ("lock_timeout", "5s"),
    // A transaction that says nothing for so long was left behind by us, and holds its locks.
    ("idle_in_transaction_session_timeout", "30s"),
    // To compile a plan takes longer than to carry any of ours out.
    ("jit", "off"),
    // A connection whose other end has gone without a word is given up by the server, too: else the
    // places of those that have fallen silent are taken for two hours.
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "20s"),
];

/// Also of the sessions for statements that find few rows, each by an index, however large the
/// tables are. Wrong for sums, lists and search.
const ROW_BY_ROW: [Setting; 4] = [
    // A plan that was kept while a table was empty must not read all of it later.
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    // The best plan is always the same: to make a new one costs more than to carry it out.
    ("plan_cache_mode", "force_generic_plan"),
];

/// Of the sessions for what may find many rows, whose best plan depends on what is asked for: of
/// all customers' bookings, or of one's.
const AS_ASKED: [Setting; 1] = [("plan_cache_mode", "force_custom_plan")];

/// The connections of a process. Each pool has its own name at Postgres, and none can starve
/// another.
pub struct Pools {
    /// For requests of buyers and admins.
    pub requests: Pool,
    /// For what has been paid, or can be: it must not queue behind thousands who want a seat.
    pub payments: Pool,
    /// For the feed of booking events, and for the watch over the database.
    pub watch: Pool,
    /// For sums, lists, search and exports, which Postgres plans by what it knows of the tables.
    pub reporting: Pool,
    /// For what anyone may read.
    pub public: Pool,
    /// What is thought of all their connections.
    pub trust: Arc<Trust>,
    options: PgConnectOptions,
}

/// Connections for one purpose, made when they are needed.
pub struct Pool {
    connections: PgPool,
    trust: Arc<Trust>,
}

impl Pools {
    /// Fails only on a URL that cannot be read.
    pub fn new(url: &Secret) -> Result<Self> {
        let options: PgConnectOptions = url.reveal().parse()?;
        let trust = Arc::<Trust>::default();
        let pool = |connections_max, settings, name| Pool {
            connections: pool(connections_max, settings, &trust)
                .connect_lazy_with(named(&options, name)),
            trust: Arc::clone(&trust),
        };
        Ok(Self {
            requests: pool(REQUESTS_CONNECTIONS_MAX, row_by_row(), "holdfast requests"),
            payments: pool(PAYMENTS_CONNECTIONS_MAX, row_by_row(), "holdfast payments"),
            watch: pool(WATCH_CONNECTIONS_MAX, LIMITS.to_vec(), "holdfast watch"),
            reporting: pool(REPORTING_CONNECTIONS_MAX, as_asked(), "holdfast reporting"),
            public: pool(PUBLIC_CONNECTIONS_MAX, as_asked(), "holdfast public"),
            trust,
            options,
        })
    }

    /// New connections for the job queue, whose library wants them without anything around them.
    pub fn queue(&self) -> PgPool {
        pool(QUEUE_CONNECTIONS_MAX, LIMITS.to_vec(), &self.trust)
            .connect_lazy_with(named(&self.options, "holdfast workers"))
    }
}

impl Pool {
    /// A connection, when there is one to be had. In a box: while thousands wait, this future is
    /// most of what each keeps.
    pub fn acquire(&self) -> Pin<Box<dyn Future<Output = sqlx::Result<Connection>> + Send>> {
        let (connections, trust) = (self.connections.clone(), Arc::clone(&self.trust));
        Box::pin(async move { Ok(Connection::new(connections.acquire().await?, trust)) })
    }

    /// Begins a transaction; dropped without a commit, it is rolled back. On a connection that
    /// turns out to be broken nothing was begun, so another is tried.
    pub async fn begin(&self) -> sqlx::Result<Transaction> {
        match self.acquire().await?.begin().await {
            Err(error) if is_broken(&error) => self.acquire().await?.begin().await,
            begun => begun,
        }
    }

    /// Closes all connections. Nobody gets one any more.
    pub async fn close(&self) {
        self.connections.close().await;
    }

    /// How many connections nobody uses.
    pub fn idle(&self) -> usize {
        self.connections.num_idle()
    }
}

/// All settings of a session for statements that find few rows.
fn row_by_row() -> Vec<Setting> {
    [&LIMITS[..], &ROW_BY_ROW].concat()
}

/// All settings of a session for what may find many rows.
fn as_asked() -> Vec<Setting> {
    [&LIMITS[..], &AS_ASKED].concat()
}

/// The settings are made in the session and not by the start-up message: connection poolers refuse
/// one that brings any.
///
/// A connection is not pinged before use: that costs a quarter of the CPU, and one that is dead
/// gives an error after which those that were made before it are not used any more.
fn pool(connections_max: u32, settings: Vec<Setting>, trust: &Arc<Trust>) -> PgPoolOptions {
    let trust = Arc::clone(trust);
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(POOL_WAIT_MAX)
        .test_before_acquire(false)
        .before_acquire(move |_, connection| {
            let is_trusted = trust.includes(connection.age);
            Box::pin(async move { Ok(is_trusted) })
        })
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

/// A connection outside the pools, but as theirs are, for a command: it says at once why it cannot
/// be had.
pub async fn connect(url: &Secret) -> Result<PgConnection> {
    let options = named(&url.reveal().parse()?, "holdfast command");
    let connected = timeout(CONNECT_MAX, async {
        let mut db = PgConnection::connect_with(&options).await?;
        set_session(&mut db, &row_by_row()).await?;
        Ok::<_, sqlx::Error>(db)
    });
    let connected = connected.await;
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

/// Commits. A connection that breaks meanwhile leaves open whether that was done.
pub(super) async fn commit(tx: Transaction) -> Result<()> {
    tx.commit().await.map_err(|error| {
        let error = Error::from(error);
        if error.is_database_unavailable() {
            Error::OutcomeUnknown(explain(&error))
        } else {
            error
        }
    })
}
