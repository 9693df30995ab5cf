//! The database changes roles: the primary is told to read only, and its standby is promoted.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Executor};

use super::harness::Harness;
use super::serve::book;
use crate::pg_proxy::PgProxy;

/// How long a switch may be felt after it is over.
const RECOVERY_MAX: Duration = Duration::from_secs(10);

/// Two servers of Postgres, one of which follows the other.
struct Pair {
    folder: PathBuf,
    /// Where the programs of Postgres are.
    programs: PathBuf,
    /// Whom they run as, who is not root.
    owner: (u32, u32),
}

impl Pair {
    async fn start(harness: &Harness) -> Self {
        let ask = async |query: &'static str| {
            let answer = sqlx::query_scalar::<_, String>(query);
            PathBuf::from(answer.fetch_one(harness.database.pool()).await.unwrap())
        };
        let data = fs::metadata(ask("show data_directory").await).unwrap();
        let pair = Self {
            folder: harness.folder.join("pair"),
            programs: ask("select setting from pg_config() where name = 'BINDIR'").await,
            owner: (data.uid(), data.gid()),
        };
        for folder in ["", "primary", "standby"] {
            let folder = pair.folder.join(folder);
            fs::create_dir_all(&folder).unwrap();
            chown(&folder, Some(pair.owner.0), Some(pair.owner.1)).unwrap();
        }
        let primary = pair.folder.join("primary/data");
        pair.run(
            "initdb",
            &["-A", "trust", "-U", "postgres", "--no-sync"],
            &primary,
        );
        pair.begin("primary");
        let from = pair.folder.join("primary");
        let from = from.to_str().unwrap();
        let copy = [
            "-h",
            from,
            "-U",
            "postgres",
            "-R",
            "-c",
            "fast",
            "--no-sync",
        ];
        pair.run("pg_basebackup", &copy, &pair.folder.join("standby/data"));
        pair.begin("standby");
        pair
    }

    fn begin(&self, name: &str) {
        let folder = self.folder.join(name);
        let options = format!(
            "-c unix_socket_directories={} -c listen_addresses= -c fsync=off",
            folder.display()
        );
        let log = folder.join("log");
        let arguments = ["-w", "-l", log.to_str().unwrap(), "-o", &options, "start"];
        self.run("pg_ctl", &arguments, &folder.join("data"));
    }

    fn promote(&self, name: &str) {
        self.run(
            "pg_ctl",
            &["-w", "promote"],
            &self.folder.join(name).join("data"),
        );
    }

    fn run(&self, program: &str, arguments: &[&str], data: &Path) {
        let mut command = Command::new(self.programs.join(program));
        command.args(arguments).arg("-D").arg(data).current_dir("/");
        command.stdout(std::process::Stdio::null());
        // Only root may, and only root has to, be somebody else.
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            command.uid(self.owner.0).gid(self.owner.1);
        }
        assert!(command.status().unwrap().success(), "{command:?}");
    }

    fn options(&self, name: &str) -> PgConnectOptions {
        PgConnectOptions::new()
            .socket(self.folder.join(name))
            .username("postgres")
            .database("postgres")
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for name in ["standby", "primary"] {
            let data = self.folder.join(name).join("data");
            self.run("pg_ctl", &["-m", "immediate", "stop"], &data);
        }
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_to_the_standby_is_felt_for_a_moment_only() {
    let harness = Harness::new().await;
    let pair = Pair::start(&harness).await;
    let pg_proxy = PgProxy::start(&pair.options("primary")).await;
    let own = [("DATABASE_URL", pg_proxy.url())];
    assert_eq!(harness.run(&["migrate"], &own).code, Some(0));
    assert_eq!(harness.run(&["seed"], &own).code, Some(0));
    let mut server = harness.serve(&own);
    let (status, booking) = book(&harness, &server).await.await;
    assert_eq!(status, 201, "{booking}");

    let mut primary = pair.options("primary").connect().await.unwrap();
    let read_only = "alter system set default_transaction_read_only = on";
    primary.execute(read_only).await.unwrap();
    primary.execute("select pg_reload_conf()").await.unwrap();
    server.logged("it only reads");
    let (status, missing) = server.get("/ready").await;
    assert_eq!(status, 503, "{missing}");
    assert!(
        missing["detail"].as_str().unwrap().contains("only reads"),
        "{missing}"
    );
    let examined = harness.run(&["doctor"], &own);
    assert_eq!(examined.code, Some(1), "{examined:?}");
    let line = "FAIL  database: the database only reads";
    assert!(examined.stdout.contains(line), "{examined:?}");
    let (status, refused) = book(&harness, &server).await.await;
    assert_eq!(
        (status, &refused["code"]),
        (503, &"database_unavailable".into())
    );

    pair.promote("standby");
    pg_proxy.switch_to(&pair.options("standby"));
    let switched = Instant::now();
    server.logged("it takes writes again");
    assert!(
        switched.elapsed() < RECOVERY_MAX,
        "{:?}",
        switched.elapsed()
    );
    for _ in 0..30 {
        let (status, booking) = book(&harness, &server).await.await;
        assert_eq!(status, 201, "{booking}");
    }
    let (status, ready) = server.get("/ready").await;
    assert_eq!(status, 200, "{ready}");
}
