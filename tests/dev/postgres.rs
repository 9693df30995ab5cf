//! The local Postgres is there when it is asked for and gone when nobody uses it any more.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{chown, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use holdfast::dev::postgres::{LocalPostgres, LocalPostgresError, Settings};
use sqlx::{Connection, PgConnection};

const DIRECTORY: &str = "HOLDFAST_TEST_POSTGRES_DIRECTORY";
const PATIENCE: Duration = Duration::from_secs(20);

/// Does nothing by itself: the others run it in a process of its own, which they can kill.
#[test]
fn use_a_server_until_the_input_ends() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let answer = match LocalPostgres::open(&disposable(Path::new(&directory))) {
        Ok(server) => {
            let answer = if server.started() {
                "started"
            } else {
                "joined"
            };
            std::mem::forget(server);
            answer.to_owned()
        }
        Err(error) => error.to_string(),
    };
    writeln!(std::io::stderr(), "{answer}").unwrap();
    drop(std::io::stdin().lines().last());
}

#[test]
fn two_cold_starts_at_once_share_one_server() {
    let scratch = Scratch::new("two-cold-starts");

    let mut users = [User::begin(&scratch.0), User::begin(&scratch.0)];
    let mut answers = users.each_mut().map(User::answer);

    answers.sort();
    assert_eq!(answers, ["joined", "started"]);
}

#[test]
fn a_server_outlives_a_killed_process_only_while_another_one_uses_it() {
    let scratch = Scratch::new("killed");
    let mut first = User::begin(&scratch.0);
    assert_eq!(first.answer(), "started");
    let second = LocalPostgres::open(&disposable(&scratch.0)).unwrap();
    assert!(!second.started());

    first.kill();
    eventually(|| scratch.claims() == 1);
    assert!(takes_connections(second.socket_directory()));

    drop(second);
    eventually(|| scratch.has_stopped());
    assert!(!scratch.cluster().join("data").exists());
}

#[test]
fn a_durable_server_keeps_what_was_committed() {
    let scratch = Scratch::new("durable");
    let settings = durable(&scratch.0);
    let first = LocalPostgres::open(&settings).unwrap();
    ask::<()>(&first, "create table kept as select 42 as answer");
    assert_eq!(ask::<String>(&first, "show fsync"), "on");
    assert_eq!(ask::<String>(&first, "show synchronous_commit"), "on");
    assert_eq!(ask::<String>(&first, "show timezone"), "UTC");
    assert_eq!(ask::<String>(&first, "show max_connections"), "200");

    drop(first);
    eventually(|| scratch.has_stopped());
    let second = LocalPostgres::open(&settings).unwrap();

    assert!(second.started());
    assert_eq!(ask::<i32>(&second, "select answer from kept"), 42);
}

#[test]
fn a_number_that_another_process_got_later_is_not_taken_for_a_server_or_a_user() {
    let scratch = Scratch::new("recycled");
    let settings = durable(&scratch.0);
    let server = LocalPostgres::open(&settings).unwrap();
    let us = std::process::id();

    let claim = scratch.cluster().join(format!("claims/{us}-1-0"));
    fs::write(claim, "").unwrap();
    drop(server);
    eventually(|| scratch.has_stopped());
    let lock_file = format!("{us}\n{}", "ready\n".repeat(7));
    fs::write(scratch.cluster().join("data/postmaster.pid"), lock_file).unwrap();
    fs::write(scratch.cluster().join("watcher"), format!("{us}-1")).unwrap();

    assert!(LocalPostgres::open(&settings).unwrap().started());
}

#[test]
fn a_server_that_crashed_is_started_again_with_what_was_committed() {
    let scratch = Scratch::new("crashed");
    let first = LocalPostgres::open(&durable(&scratch.0)).unwrap();
    ask::<()>(&first, "create table kept as select 42 as answer");

    let server = fs::read_to_string(scratch.cluster().join("data/postmaster.pid")).unwrap();
    let server = server.lines().next().unwrap();
    kill(server);
    eventually(|| is_dead(server));
    let second = LocalPostgres::open(&durable(&scratch.0)).unwrap();

    assert!(second.started());
    assert_eq!(ask::<i32>(&second, "select answer from kept"), 42);
}

#[test]
fn a_stop_whose_watcher_was_killed_is_finished() {
    let scratch = Scratch::new("half-stopped");
    let server = LocalPostgres::open(&disposable(&scratch.0)).unwrap();
    let watcher = fs::read_to_string(scratch.cluster().join("watcher")).unwrap();
    let (watcher, _) = watcher.split_once('-').unwrap();

    kill(watcher);
    fs::create_dir(scratch.cluster().join("stopping")).unwrap();
    eventually(|| is_dead(watcher));
    drop(server);

    assert!(
        LocalPostgres::open(&disposable(&scratch.0))
            .unwrap()
            .started()
    );
}

#[test]
fn a_path_too_long_for_a_socket_gets_one_elsewhere_that_nobody_can_put_there_for_us() {
    let scratch = Scratch::new(&"long-".repeat(20));
    let server = LocalPostgres::open(&disposable(&scratch.0)).unwrap();
    let sockets = server.socket_directory().to_owned();
    assert!(sockets.starts_with("/tmp"));
    assert!(takes_connections(&sockets));
    drop(server);
    eventually(|| scratch.has_stopped());
    fs::remove_dir(&sockets).unwrap();

    symlink(&scratch.0, &sockets).unwrap();
    assert_refused(&scratch.0, "is a symbolic link");
    fs::remove_file(&sockets).unwrap();

    fs::create_dir(&sockets).unwrap();
    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(&sockets, open_to_all).unwrap();
    assert_refused(&scratch.0, "can be written to by other users");

    // Only root can give folders away.
    if chown(&sockets, Some(4321), None).is_ok() {
        assert_refused(&scratch.0, "belongs to another user (id 4321)");
    }
    fs::remove_dir(&sockets).unwrap();
}

#[test]
fn without_a_postgres_one_sentence_says_what_to_do() {
    let scratch = Scratch::new("nothing");
    let mut user = User::begin_with(&scratch.0, &[("PG_BIN_DIR", "/nowhere")]);

    let answer = user.answer();

    assert_eq!(
        answer,
        "PG_BIN_DIR names /nowhere, where no `initdb` and `postgres` of version 14 or newer can be \
         run: correct the variable or unset it"
    );
}

#[test]
fn an_empty_path_is_enough_to_find_an_installed_postgres_or_to_say_that_there_is_none() {
    // The cluster of the other tests: whether it runs already does not matter here.
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-postgres");
    let mut user = User::begin_with(&directory, &[("PATH", ""), ("PG_NO_DOWNLOAD", "1")]);

    let answer = user.answer();

    let advice = "no PostgreSQL server (version 14 or newer) was found on this machine and none \
                  was fetched (PG_NO_DOWNLOAD is set): install one (Debian: `apt install \
                  postgresql`; macOS: `brew install postgresql@17`) or name the folder of its \
                  `initdb` and `postgres` in PG_BIN_DIR";
    assert!(
        ["started", "joined", advice].contains(&answer.as_str()),
        "{answer}"
    );
}

fn assert_refused(directory: &Path, what: &str) {
    match LocalPostgres::open(&disposable(directory)) {
        Err(error @ LocalPostgresError::FolderRefused { .. }) => {
            assert!(error.to_string().contains(what), "{error}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a folder was taken that {what}"),
    }
}

fn durable(directory: &Path) -> Settings {
    Settings {
        durable: true,
        ..disposable(directory)
    }
}

fn disposable(directory: &Path) -> Settings {
    Settings {
        directory: directory.to_owned(),
        durable: false,
        linger_seconds: 0,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn ask<T>(server: &LocalPostgres, question: &'static str) -> T
where
    T: Answer,
{
    let mut connection = PgConnection::connect_with(&server.connect_options())
        .await
        .unwrap();
    T::read(&mut connection, question).await
}

fn takes_connections(sockets: &Path) -> bool {
    UnixStream::connect(sockets.join(".s.PGSQL.5432")).is_ok()
}

fn kill(process: &str) {
    let killed = Command::new("kill").args(["-9", process]).status();
    assert!(killed.unwrap().success());
}

fn is_dead(process: &str) -> bool {
    let alive = Command::new("kill")
        .args(["-0", process])
        .stderr(Stdio::null())
        .status();
    !alive.unwrap().success()
}

/// Another process does not say when it is done.
fn eventually(mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "still not so");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A process of its own that uses a server until it is killed or dropped.
struct User(Child, BufReader<std::process::ChildStderr>);

impl User {
    fn begin(directory: &Path) -> Self {
        Self::begin_with(directory, &[])
    }

    fn begin_with(directory: &Path, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("dev::postgres::use_a_server_until_the_input_ends")
            .env(DIRECTORY, directory)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stderr.take().unwrap());
        Self(child, output)
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A folder for one test, removed with its server.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("postgres-{}-{name}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The only one there: one major version is used.
    fn cluster(&self) -> PathBuf {
        let mut entries = fs::read_dir(&self.0).unwrap();
        entries.next().unwrap().unwrap().path()
    }

    /// Whether the server and its watcher have both gone in order.
    fn has_stopped(&self) -> bool {
        let left = ["data/postmaster.pid", "watcher", "stopping"];
        left.iter().all(|name| !self.cluster().join(name).exists())
    }

    fn claims(&self) -> usize {
        fs::read_dir(self.cluster().join("claims")).unwrap().count()
    }
}

impl Drop for Scratch {
    /// Does not wait for the watcher, which takes its time and ends by itself when there is nothing
    /// left to watch.
    fn drop(&mut self) {
        for entry in fs::read_dir(&self.0).unwrap().flatten() {
            let lock_file = fs::read_to_string(entry.path().join("data/postmaster.pid"));
            let server = lock_file
                .ok()
                .and_then(|text| Some(text.lines().next()?.to_owned()));
            let us = std::process::id().to_string();
            if let Some(server) = server.filter(|server| *server != us && !is_dead(server)) {
                let stopped = Command::new("kill").args(["-QUIT", &server]).status();
                stopped.unwrap();
                eventually(|| is_dead(&server));
            }
        }
        // The watcher may be removing the same things.
        eventually(|| !self.0.exists() || fs::remove_dir_all(&self.0).is_ok());
    }
}

/// What a question to the server can be answered with.
trait Answer: Sized {
    fn read(connection: &mut PgConnection, question: &'static str) -> impl Future<Output = Self>;
}

impl Answer for () {
    async fn read(connection: &mut PgConnection, question: &'static str) {
        sqlx::query(question).execute(connection).await.unwrap();
    }
}

impl Answer for String {
    async fn read(connection: &mut PgConnection, question: &'static str) -> Self {
        sqlx::query_scalar(question)
            .fetch_one(connection)
            .await
            .unwrap()
    }
}

impl Answer for i32 {
    async fn read(connection: &mut PgConnection, question: &'static str) -> Self {
        sqlx::query_scalar(question)
            .fetch_one(connection)
            .await
            .unwrap()
    }
}
