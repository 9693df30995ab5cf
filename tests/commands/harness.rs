//! The harness of a test: a database, a Stripe simulator, an issuer, a folder, and the real binary
//! among them.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use holdfast::dev::identity::{Issuer, IssuerSettings};
use holdfast::dev::simulator::{Options, Simulator};
use holdfast::dev::test_database::{SERVE_ROLE, TestDatabase, digest};
use holdfast::error::Error;
use holdfast::repositories::database::{self, MIGRATOR, QUEUE_VERSION};
use holdfast::repositories::rights;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

pub(crate) const ORIGIN: &str = "http://front.example";
/// Where nobody listens.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:1";
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// How long a process may take to do what it is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at what is waited for.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);
/// The secret of the webhook endpoint.
pub(crate) const SECRET: &str = "whsec_stage";

pub(crate) struct Harness {
    pub(crate) simulator: Simulator,
    pub(crate) issuer: Issuer,
    pub(crate) database: TestDatabase,
    /// Where the processes run; nothing above it holds a `.env`.
    pub(crate) folder: PathBuf,
}

/// What a process wrote until it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Harness {
    pub(crate) async fn new() -> Self {
        let options = Options {
            bind: ANY_PORT,
            endpoints: Vec::new(),
            data_file: None,
            now: None,
        };
        let issuer = IssuerSettings {
            bind: ANY_PORT,
            key_file: None,
            site: None,
        };
        let rights = hex::encode(&Sha256::digest(rights::RIGHTS)[..2]);
        let schema = format!("{}_{QUEUE_VERSION}_{rights}", digest(&MIGRATOR));
        let migrate = async |db: PgPool| {
            database::migrate(&db).await?;
            let mut tx = db.begin().await?;
            rights::grant(&mut tx, SERVE_ROLE).await?;
            tx.commit().await?;
            Ok::<_, Error>(())
        };
        let database = TestDatabase::create_with(&schema, migrate).await;
        let name: String = database.options().get_database().unwrap().to_owned();
        let folder = std::env::temp_dir().join(format!("holdfast_{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            simulator: Simulator::start(options).await.unwrap(),
            issuer: Issuer::start(issuer).await.unwrap(),
            database,
            folder,
        }
    }

    /// The command with settings that stand and some of its own; an empty value takes one away.
    pub(crate) fn command(&self, arguments: &[&str], own: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command
            .env_clear()
            .current_dir(&self.folder)
            .args(arguments)
            .stdin(Stdio::null());
        let settings = [
            (
                "DATABASE_URL",
                self.database.options_of_serve().to_url_lossy().to_string(),
            ),
            (
                "MIGRATION_DATABASE_URL",
                self.database.options().to_url_lossy().to_string(),
            ),
            ("STRIPE_SECRET_KEY", "sk_test_stage".to_owned()),
            ("STRIPE_WEBHOOK_SECRET", SECRET.to_owned()),
            ("STRIPE_API_BASE", self.simulator.url()),
            ("CLERK_ISSUER", self.issuer.url()),
            ("APP_ORIGINS", ORIGIN.to_owned()),
            ("BIND", ANY_PORT.to_string()),
            ("LOG_FORMAT", "json".to_owned()),
        ];
        command.envs(settings);
        // Who names another database means that of the owner as well.
        if own.iter().any(|(variable, _)| *variable == "DATABASE_URL") {
            command.env_remove("MIGRATION_DATABASE_URL");
        }
        command.envs(own.iter().copied());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str], own: &[(&str, &str)]) -> Ended {
        Ended::of(&mut self.command(arguments, own))
    }

    /// Starts `holdfast serve` and waits until it listens.
    pub(crate) fn serve(&self, own: &[(&str, &str)]) -> Server {
        Server::start(&mut self.command(&["serve"], own))
    }

    /// Runs SQL as the superuser in the database of this test.
    pub(crate) async fn sql(&self, statements: &str) {
        self.database
            .pool()
            .execute(sqlx::raw_sql(AssertSqlSafe(statements)))
            .await
            .unwrap();
    }

    /// Waits until this query gives this text; for what happens in other processes.
    pub(crate) async fn until(&self, query: &str, value: &str, within: Duration) {
        let query = format!("select coalesce(({query})::text, '')");
        let deadline = Instant::now() + within;
        loop {
            let now: String = sqlx::query_scalar(AssertSqlSafe(query.clone()))
                .fetch_one(self.database.pool())
                .await
                .unwrap();
            if now == value {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{query} is {now:?} and not {value:?} after {within:?}"
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Takes the whole schema away, as if the database had just been created.
    pub(crate) async fn empty_database(&self) {
        self.sql("drop schema public cascade; create schema public")
            .await;
    }

    /// Lets nobody into the database any more, and ends who is there; or lets them in again.
    pub(crate) async fn close_database(&self, closed: bool) {
        let name = self.database.options().get_database().unwrap().to_owned();
        let mut admin = self
            .database
            .options()
            .database("postgres")
            .connect()
            .await
            .unwrap();
        let close = format!("alter database {name} allow_connections {}", !closed);
        admin.execute(AssertSqlSafe(close)).await.unwrap();
        if closed {
            let end = format!(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
            );
            admin.execute(AssertSqlSafe(end)).await.unwrap();
        }
    }

    /// Injects a fault into the simulator.
    pub(crate) async fn fault(&self, fault: &str) {
        let url = format!("{}/_simulator/faults", self.simulator.url());
        let injected = reqwest::Client::new()
            .post(url)
            .header("content-type", "application/json")
            .body(fault.to_owned())
            .send()
            .await
            .unwrap();
        assert_eq!(injected.status(), 200);
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        // What is left lies in the folder for temporary files, and is small.
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

impl Ended {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// A `holdfast serve` that is killed when the test ends without having stopped it.
pub(crate) struct Server {
    child: Child,
    log: Receiver<String>,
    seen: Vec<String>,
    pub(crate) url: String,
}

impl Server {
    /// Starts `holdfast serve` by this command and waits until it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            stderr
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| lines.send(line))
        });
        let mut server = Self {
            child,
            log,
            seen: Vec::new(),
            url: String::new(),
        };
        server.url = String::from(server.logged("serving on ").split('"').next().unwrap());
        server
    }

    /// What follows `text` in the first line of the log that has it.
    pub(crate) fn logged(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some((_, rest)) = self.seen.iter().find_map(|line| line.split_once(text)) {
                return rest.to_owned();
            }
            let line = self
                .log
                .recv_timeout(deadline.saturating_duration_since(Instant::now()));
            self.seen
                .push(line.unwrap_or_else(|_| panic!("{text:?} was not logged: {:?}", self.seen)));
        }
    }

    /// What follows `text` in the next line of the log that has it, after those that have been
    /// read.
    pub(crate) fn logged_again(&mut self, text: &str) -> String {
        let read = std::mem::take(&mut self.seen);
        let rest = self.logged(text);
        self.seen.splice(..0, read);
        rest
    }

    /// Whether the lines of the log that have been read say this.
    pub(crate) fn has_logged(&self, text: &str) -> bool {
        self.seen.iter().any(|line| line.contains(text))
    }

    /// The errors among the lines of the log that have been read.
    pub(crate) fn errors(&self) -> Vec<&String> {
        self.seen
            .iter()
            .filter(|line| line.contains(r#""level":"ERROR""#))
            .collect()
    }

    /// Sends a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(
            Command::new("/bin/sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Lets the process have so many files; returns how many it might have before.
    #[cfg(target_os = "linux")]
    pub(crate) fn limit_files(&self, files: Option<u64>) -> Option<u64> {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};

        let id = i32::try_from(self.child.id()).unwrap();
        let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
        let limit = Rlimit {
            current: files,
            maximum,
        };
        let before = prlimit(Pid::from_raw(id), Resource::Nofile, limit).unwrap();
        before.current
    }

    /// Waits until the process has ended.
    pub(crate) fn ended(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it still runs after {within:?}");
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, serde_json::Value) {
        let answer = reqwest::get(format!("{}{path}", self.url)).await.unwrap();
        let status = answer.status().as_u16();
        (
            status,
            serde_json::from_str(&answer.text().await.unwrap()).unwrap(),
        )
    }

    /// Asks `/ready` until it answers with this status, and returns the answer.
    pub(crate) async fn ready(&self, status: u16) -> serde_json::Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (answered, body) = self.get("/ready").await;
            if answered == status {
                return body;
            }
            assert!(Instant::now() < deadline, "{answered}: {body}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
