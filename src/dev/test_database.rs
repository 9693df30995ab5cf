//! A database of its own for each test, cloned from a template that holds the migrated schema.
//! Always on the disposable cluster under `target`, never on a server that the environment names.

use std::error::Error;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, query, query_scalar,
};

use crate::dev::postgres::{LocalPostgres, Settings};
use crate::dev::process::Process;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Long enough to go from one test binary to the next on the same server.
const LINGER_SECONDS: u32 = 5;
/// At 8 MB each. Dropping fewer is not worth it: it takes about as long as cloning, and a file
/// system without a journal is slow to make new files for a while after it has deleted many.
const LEFTOVERS_MAX: usize = 200;
const CONNECTIONS_MAX: u32 = 5;
const CONNECTION_PATIENCE: Duration = Duration::from_secs(10);
/// The key of the advisory lock under which templates are built: "template" in ASCII.
const TEMPLATE_LOCK: i64 = 0x7465_6d70_6c61_7465;
const FIRST_VERSION_WITH_STRATEGY: u32 = 150_000;

/// A role that owns nothing.
pub const SERVE_ROLE: &str = "holdfast_serve";
const CREATE_SERVE_ROLE: &str = "create role holdfast_serve login";

static SERVER: OnceLock<std::result::Result<LocalPostgres, String>> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// An empty database with the whole schema that no other test uses.
///
/// It is left where it is, also by a test that is killed: the whole cluster goes soon after the
/// last test. Only when test runs follow each other so quickly that too many are left are those of
/// earlier runs dropped.
pub struct TestDatabase {
    options: PgConnectOptions,
    pool: PgPool,
}

impl TestDatabase {
    /// Clones the template, which the first test after a change of the migrations builds.
    ///
    /// Panics when there is no database to be had: a test cannot go on without.
    pub async fn create(migrator: &Migrator) -> Self {
        Self::create_with(&digest(migrator), async |db| migrator.run(&db).await).await
    }

    /// Clones the template `schema`, which the first test that asks for it builds with `migrate`.
    ///
    /// Panics when there is no database to be had: a test cannot go on without.
    #[expect(clippy::panic, reason = "a test cannot go on without its database")]
    pub async fn create_with<E>(
        schema: &str,
        migrate: impl AsyncFnOnce(PgPool) -> std::result::Result<(), E>,
    ) -> Self
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        match Self::try_create(schema, async |db| migrate(db).await.map_err(Into::into)).await {
            Ok(database) => database,
            Err(error) => panic!("no database for this test: {error}"),
        }
    }

    /// To connect to this database.
    pub fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// The same as [`SERVE_ROLE`], which may do there what the template lets it do.
    pub fn options_of_serve(&self) -> PgConnectOptions {
        self.options().username(SERVE_ROLE)
    }

    /// A few connections to this database; they live on the runtime of the test that created it.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    async fn try_create(
        schema: &str,
        migrate: impl AsyncFnOnce(PgPool) -> Result<()>,
    ) -> Result<Self> {
        let options = server().await?;
        let mut admin = PgConnection::connect_with(&options).await?;
        let template = ensure_template(schema, migrate, &options, &mut admin).await?;
        let name = clone(&template, &mut admin).await?;
        admin.close().await?;
        let options = options.database(&name);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(CONNECTION_PATIENCE)
            .connect_lazy_with(options.clone());
        Ok(Self { options, pool })
    }
}

/// The server that all tests of this process share, as its superuser.
async fn server() -> Result<PgConnectOptions> {
    let opened = tokio::task::spawn_blocking(|| SERVER.get_or_init(open_server)).await?;
    match opened {
        Ok(server) => Ok(server.connect_options().disable_statement_logging()),
        Err(error) => Err(error.as_str().into()),
    }
}

fn open_server() -> std::result::Result<LocalPostgres, String> {
    let settings = Settings {
        directory: Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-postgres"),
        durable: false,
        linger_seconds: LINGER_SECONDS,
    };
    let server = LocalPostgres::open(&settings).map_err(|error| error.to_string())?;
    sweep_in_background(server.connect_options());
    Ok(server)
}

/// Also when a task that nobody waited for is still connected.
async fn drop_database(name: &str, admin: &mut PgConnection) -> sqlx::Result<()> {
    let drop = format!("drop database if exists {name} with (force)");
    admin.execute(AssertSqlSafe(drop)).await.map(|_| ())
}

/// Built once per set of migrations, by whichever process gets the lock first.
async fn ensure_template(
    schema: &str,
    migrate: impl AsyncFnOnce(PgPool) -> Result<()>,
    options: &PgConnectOptions,
    admin: &mut PgConnection,
) -> Result<String> {
    let name = format!("template_{schema}");
    if exists(&name, admin).await? {
        return Ok(name);
    }
    let mut builder = PgConnection::connect_with(options).await?;
    query("select pg_advisory_lock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(&mut builder)
        .await?;
    if !exists(&name, &mut builder).await? {
        let has_role = query_scalar("select exists (select from pg_roles where rolname = $1)");
        if !has_role.bind(SERVE_ROLE).fetch_one(&mut builder).await? {
            builder.execute(CREATE_SERVE_ROLE).await?;
        }
        build_template(migrate, options, &name, &mut builder).await?;
    }
    // Closing frees the lock.
    builder.close().await?;
    Ok(name)
}

/// Names a set of migrations.
pub fn digest(migrator: &Migrator) -> String {
    let mut digest = Sha256::new();
    for migration in migrator.iter() {
        digest.update(migration.version.to_le_bytes());
        digest.update(&migration.checksum);
    }
    let start: Vec<u8> = digest.finalize().into_iter().take(10).collect();
    hex::encode(start)
}

async fn exists(name: &str, connection: &mut PgConnection) -> sqlx::Result<bool> {
    query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(name)
        .fetch_one(connection)
        .await
}

async fn build_template(
    migrate: impl AsyncFnOnce(PgPool) -> Result<()>,
    options: &PgConnectOptions,
    name: &str,
    admin: &mut PgConnection,
) -> Result<()> {
    let building = options.clone().database("template_being_built");
    // Whoever built it before us may have been killed halfway.
    drop_database("template_being_built", admin).await?;
    admin
        .execute("create database template_being_built template template0")
        .await?;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(building.clone())
        .await?;
    migrate(pool.clone()).await?;
    pool.close().await;
    let mut connection = building.connect().await?;
    connection.execute("vacuum (freeze, analyze)").await?;
    connection.close().await?;
    // A new connection writes the file of cached catalogues that every clone then begins with.
    building.connect().await?.close().await?;
    // Cloning fails while somebody is connected to the template, so nobody may; the name makes it
    // known when it is whole.
    admin
        .execute("alter database template_being_built allow_connections false")
        .await?;
    let publish = format!("alter database template_being_built rename to {name}");
    admin.execute(AssertSqlSafe(publish)).await?;
    Ok(())
}

/// Returns the clone's name, which says whose it is.
async fn clone(template: &str, admin: &mut PgConnection) -> sqlx::Result<String> {
    let process = Process::current();
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    let name = format!("test_{}_{}_{number}", process.id, process.started);
    let mut create = format!("create database {name} template {template}");
    // Copying files is faster than logging every page, and all that older versions know.
    if admin.server_version_num() >= Some(FIRST_VERSION_WITH_STRATEGY) {
        create.push_str(" strategy file_copy");
    }
    admin.execute(AssertSqlSafe(create)).await?;
    Ok(name)
}

/// On a thread of its own: no test waits for it, and what is left when this process ends is the
/// next one's to drop.
fn sweep_in_background(options: PgConnectOptions) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime
            .block_on(sweep(&options.disable_statement_logging()))
            .map_err(std::io::Error::other)
    });
}

/// Drops the databases of test processes that are gone, if there are too many of them.
async fn sweep(options: &PgConnectOptions) -> sqlx::Result<()> {
    let mut admin = PgConnection::connect_with(options).await?;
    let mut names: Vec<String> =
        query_scalar("select datname from pg_database where datname like 'test\\_%'")
            .fetch_all(&mut admin)
            .await?;
    names.retain(|name| !is_in_use(name));
    if names.len() > LEFTOVERS_MAX {
        for name in &names {
            drop_database(name, &mut admin).await?;
        }
    }
    admin.close().await
}

/// Names that are not ours count as used.
fn is_in_use(name: &str) -> bool {
    let mut parts = name.split('_').skip(1);
    let (Some(Ok(id)), Some(Ok(started))) =
        (parts.next().map(str::parse), parts.next().map(str::parse))
    else {
        return true;
    };
    Process { id, started }.is_alive()
}
