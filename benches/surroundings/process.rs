//! One `holdfast serve`, its lives, what each of them logged, and how much memory each took.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::memory::Sample;

/// How long a process may take to listen.
const START_MAX: Duration = Duration::from_secs(20);
/// How long it may take to end, once it was told to, before it is killed.
const STOP_MAX: Duration = Duration::from_secs(30);
/// Between two looks whether it has started, or ended.
const LOOK: Duration = Duration::from_millis(20);

/// Errors by their message, each with how often it came and its first line.
pub(crate) type Errors = Arc<Mutex<BTreeMap<String, (u64, String)>>>;

pub(crate) struct Process {
    name: &'static str,
    environment: Vec<(&'static str, String)>,
    folder: PathBuf,
    files_max: Option<u64>,
    port: u16,
    child: Option<Child>,
    /// The samples of each life.
    pub(crate) lives: Vec<Vec<Sample>>,
    errors: Errors,
}

impl Process {
    pub(crate) fn new(
        name: &'static str,
        environment: Vec<(&'static str, String)>,
        folder: PathBuf,
        errors: &Errors,
    ) -> Self {
        Self {
            name,
            environment,
            folder,
            files_max: None,
            port: free_port(),
            child: None,
            lives: Vec::new(),
            errors: Arc::clone(errors),
        }
    }

    /// From its next start on it may have so many open files, and cannot raise that.
    pub(crate) fn limit_files(&mut self, files_max: u64) {
        self.files_max = Some(files_max);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What one of its lives is called.
    pub(crate) fn life(&self, number: usize) -> String {
        format!("{}{}", self.name, number + 1)
    }

    /// Starts it and waits until it answers. Panics if it does not.
    pub(crate) async fn start(&mut self) {
        self.lives.push(Vec::new());
        let log = File::create(
            self.folder
                .join(format!("{}.log", self.life(self.lives.len() - 1))),
        )
        .unwrap();
        let mut command = self.program();
        command.env_clear().envs(
            self.environment
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        command
            .env("BIND", format!("127.0.0.1:{}", self.port))
            .current_dir(&self.folder)
            .arg("serve");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let errors = Arc::clone(&self.errors);
        std::thread::spawn(move || keep(stderr, log, &errors));
        self.child = Some(child);
        let deadline = Instant::now() + START_MAX;
        let ready = format!("{}/ready", self.url());
        while reqwest::get(&ready)
            .await
            .map_or(0, |answer| answer.status().as_u16())
            != 200
        {
            assert!(
                Instant::now() < deadline,
                "{} does not become ready",
                self.name
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    fn program(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_holdfast");
        let Some(files_max) = self.files_max else {
            return Command::new(program);
        };
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "ulimit -n \"$0\" && exec \"$@\""]);
        shell.args([&files_max.to_string(), program]);
        shell
    }

    /// The number of its life that goes on. Panics between two lives.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Tells it to stop, as an operator does, and waits until it has. How long that took; if it
    /// takes too long, it is killed.
    pub(crate) async fn stop(&mut self) -> Duration {
        let child = self.child.as_mut().unwrap();
        let began = Instant::now();
        kill_process(Pid::from_child(child), Signal::TERM).unwrap();
        while child.try_wait().unwrap().is_none() && began.elapsed() < STOP_MAX {
            tokio::time::sleep(LOOK).await;
        }
        let took = began.elapsed();
        self.kill();
        took
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Looks at its memory. Panics if it has died by itself.
    pub(crate) fn sample(&mut self) {
        let Some(child) = &mut self.child else { return };
        let ended = child.try_wait().unwrap();
        assert!(
            ended.is_none(),
            "{} has died by itself: {ended:?}",
            self.name
        );
        let sample = Sample::of(child.id());
        self.lives.last_mut().unwrap().extend(sample);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Below the range that systems draw ports of outgoing connections from, so that it is still free
/// after a kill.
fn free_port() -> u16 {
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let start = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    (start..32_000).find(free).unwrap()
}

/// Writes the log down, and counts its errors.
fn keep(lines: impl BufRead, mut log: File, errors: &Mutex<BTreeMap<String, (u64, String)>>) {
    for line in lines.lines().map_while(Result::ok) {
        writeln!(log, "{line}").unwrap();
        let Ok(entry) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        if entry["level"] == "ERROR" {
            let message = entry["message"].as_str().unwrap_or_default().to_owned();
            errors.lock().unwrap().entry(message).or_insert((0, line)).0 += 1;
        }
    }
}
