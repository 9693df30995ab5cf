//! A proxy between a process and Postgres: it counts what the process asks for its requests and
//! jobs, statement by statement, and holds one of them up. It can be as strict as a pooler.
//!
//! Just enough of the protocol is understood to tell statements apart.
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>

mod pooler;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

const PROTOCOL: u32 = 3 << 16;

/// What is held up on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// A statement: Postgres does not hear of it.
    Statement,
    /// The answer: Postgres has executed the statement.
    Answer,
}

/// How what is held goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As if nothing had been.
    Through,
    /// The connection breaks.
    Cut,
}

/// What happens to one statement, counted from 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interruption {
    pub(crate) step: usize,
    pub(crate) held: Held,
    pub(crate) way: Way,
}

/// A proxy between a process and its Postgres.
pub(crate) struct PgProxy {
    url: String,
    state: Arc<State>,
}

struct State {
    plan: Mutex<Plan>,
    held: watch::Sender<bool>,
    way: watch::Sender<Option<Way>>,
    /// How many connections there have been.
    accepted: AtomicUsize,
    /// How many of them are frozen, from the first.
    frozen: watch::Sender<usize>,
    /// Where the server listens.
    socket: Mutex<PathBuf>,
    is_pooler: AtomicBool,
}

#[derive(Default)]
struct Plan {
    wanted: Option<(Held, usize)>,
    statements: Vec<String>,
}

impl PgProxy {
    /// Starts a proxy to this database.
    pub(crate) async fn start(database: &PgConnectOptions) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let (user, name) = (database.get_username(), database.get_database().unwrap());
        let url = format!("postgres://{user}@{address}/{name}?sslmode=disable");
        let state = State {
            plan: Mutex::default(),
            held: watch::Sender::new(false),
            way: watch::Sender::new(None),
            accepted: AtomicUsize::new(0),
            frozen: watch::Sender::new(0),
            socket: Mutex::new(socket(database)),
            is_pooler: AtomicBool::new(false),
        };
        let state = Arc::new(state);
        let accepting = Arc::clone(&state);
        tokio::spawn(async move {
            for number in 0.. {
                let Ok((client, _)) = listener.accept().await else {
                    return;
                };
                let state = Arc::clone(&accepting);
                let socket = state.socket.lock().unwrap().clone();
                let server = UnixStream::connect(socket).await;
                // However a connection ends, both of its ends are closed.
                tokio::spawn(
                    async move { Connection::new(client, server?).last(number, &state).await },
                );
            }
        });
        Self { url, state }
    }

    /// Where the process finds its database.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Holds up the statement that is the `number`th from now, beginning with 1, or its answer.
    pub(crate) fn hold_up(&self, held: Held, number: usize) {
        *self.state.plan() = Plan {
            wanted: Some((held, number)),
            statements: Vec::new(),
        };
        self.state.held.send_replace(false);
        self.state.way.send_replace(None);
    }

    /// Waits until it has come.
    pub(crate) async fn held(&self) {
        self.state
            .held
            .subscribe()
            .wait_for(|held| *held)
            .await
            .unwrap();
    }

    /// Lets what is held go on.
    pub(crate) fn let_go(&self, way: Way) {
        self.state.way.send_replace(Some(way));
    }

    /// Holds up nothing any more that has not come yet; true if it has come.
    pub(crate) fn restore(&self) -> bool {
        self.state.plan().wanted.take().is_none()
    }

    /// Freezes all connections that are there: they stay open, and nothing passes any more.
    pub(crate) fn freeze(&self) {
        let accepted = self.state.accepted.load(Ordering::SeqCst);
        self.state.frozen.send_replace(accepted);
    }

    /// Leads new connections to another server; the old ones stay where they are.
    pub(crate) fn switch_to(&self, database: &PgConnectOptions) {
        *self.state.socket.lock().unwrap() = socket(database);
    }

    /// Refuses new connections that ask for what a pooler does not know.
    pub(crate) fn refuse_as_pooler(&self) {
        self.state.is_pooler.store(true, Ordering::SeqCst);
    }

    /// The statements that came until one was held up.
    pub(crate) fn statements(&self) -> Vec<String> {
        self.state.plan().statements.clone()
    }
}

impl State {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be held up of this statement. One that sets a new session up is not counted: when
    /// there is one depends on how busy the pool is.
    fn meet(&self, statement: &str) -> Option<Held> {
        if statement.contains("set_config") {
            return None;
        }
        let mut plan = self.plan();
        let (held, number) = plan.wanted?;
        plan.statements
            .push(statement.split_whitespace().collect::<Vec<_>>().join(" "));
        if plan.statements.len() < number {
            return None;
        }
        plan.wanted = None;
        Some(held)
    }

    /// Waits; an error if the connection is to break.
    async fn hold(&self) -> io::Result<()> {
        let mut way = self.way.subscribe();
        self.held.send_replace(true);
        match *way
            .wait_for(Option::is_some)
            .await
            .map_err(io::Error::other)?
        {
            Some(Way::Through) => Ok(()),
            Some(Way::Cut) | None => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

/// Messages of one direction, as they arrive.
#[derive(Default)]
struct Messages(Vec<u8>);

impl Messages {
    /// The next whole message: its type and all of it.
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let length = self.0.get(1..5)?;
        let end = usize::try_from(number(length)).unwrap() + 1;
        (self.0.len() >= end).then(|| (self.0[0], self.0.drain(..end).collect()))
    }
}

/// What the process has said since the last end of a statement.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    statement: Option<String>,
    prepared: HashMap<Vec<u8>, String>,
}

impl Batch {
    /// Adds a message; true if the batch is to be sent now.
    fn add(&mut self, kind: u8, message: &[u8]) -> bool {
        let mut words = message[5..].split(|byte| *byte == 0);
        let (first, second) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        match kind {
            b'P' => {
                self.prepared
                    .insert(first.to_vec(), String::from_utf8(second.to_vec()).unwrap());
            }
            b'B' => self.statement = self.prepared.get(second).cloned(),
            b'Q' => self.statement = Some(String::from_utf8(first.to_vec()).unwrap()),
            _ => {}
        }
        self.bytes.extend_from_slice(message);
        !matches!(kind, b'P' | b'B' | b'D' | b'E' | b'C')
    }
}

/// Both directions of a connection, whose answers are counted by their ends.
struct Connection {
    client: TcpStream,
    server: UnixStream,
    answers: Messages,
    unanswered: usize,
}

impl Connection {
    fn new(client: TcpStream, server: UnixStream) -> Self {
        // Postgres says that it is ready before it is asked anything.
        Self {
            client,
            server,
            answers: Messages::default(),
            unanswered: 1,
        }
    }

    /// Carries what is said until an end is closed, or the connection is to break, or for ever once
    /// it is frozen.
    async fn last(mut self, number: usize, state: &State) -> io::Result<()> {
        state.accepted.store(number + 1, Ordering::SeqCst);
        let mut frozen = state.frozen.subscribe();
        tokio::select! {
            carried = self.carry(state) => carried,
            () = async { drop(frozen.wait_for(|frozen| number < *frozen).await) } => {
                std::future::pending().await
            }
        }
    }

    async fn carry(&mut self, state: &State) -> io::Result<()> {
        self.client.set_nodelay(true)?;
        let is_counted = self.start(state).await?;
        let (mut asked, mut batch) = (Messages::default(), Batch::default());
        loop {
            tokio::select! {
                read = self.client.read_buf(&mut asked.0) => if read? == 0 { return Ok(()) },
                read = self.server.read_buf(&mut self.answers.0) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    let answer = self.answered();
                    self.client.write_all(&answer).await?;
                }
            }
            while let Some((kind, message)) = asked.next() {
                if batch.add(kind, &message) {
                    self.unanswered += usize::from(matches!(kind, b'S' | b'Q'));
                    let held = batch
                        .statement
                        .take()
                        .filter(|_| is_counted)
                        .and_then(|statement| state.meet(&statement));
                    self.send(&std::mem::take(&mut batch.bytes), held, state)
                        .await?;
                }
            }
        }
    }

    /// Passes the first message on. Only the connections of requests and jobs are counted: those of
    /// the workers, which look for jobs, and of commands have other names.
    async fn start(&mut self, state: &State) -> io::Result<bool> {
        let length = self.client.read_u32().await?;
        let mut rest = vec![0; usize::try_from(length).unwrap() - 4];
        self.client.read_exact(&mut rest).await?;
        assert_eq!(
            number(&rest[..4]),
            PROTOCOL,
            "the pg_proxy speaks without encryption only"
        );
        let refusal =
            pooler::refusal(&rest[4..]).filter(|_| state.is_pooler.load(Ordering::SeqCst));
        if let Some(refusal) = refusal {
            pooler::refuse(&mut self.client, &refusal).await?;
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.server.write_u32(length).await?;
        self.server.write_all(&rest).await?;
        let parameters = String::from_utf8_lossy(&rest);
        let is_of = |pool| parameters.contains(&format!("application_name\0holdfast {pool}\0"));
        Ok(["requests", "payments", "reporting"].into_iter().any(is_of))
    }

    async fn send(&mut self, batch: &[u8], held: Option<Held>, state: &State) -> io::Result<()> {
        if held == Some(Held::Statement) {
            state.hold().await?;
        }
        self.server.write_all(batch).await?;
        if held == Some(Held::Answer) {
            let answer = self.whole_answer().await?;
            state.hold().await?;
            self.client.write_all(&answer).await?;
        }
        Ok(())
    }

    /// Reads until Postgres has answered everything.
    async fn whole_answer(&mut self) -> io::Result<Vec<u8>> {
        let mut answer = self.answered();
        while self.unanswered > 0 {
            if self.server.read_buf(&mut self.answers.0).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            answer.extend(self.answered());
        }
        Ok(answer)
    }

    /// The messages that have come whole.
    fn answered(&mut self) -> Vec<u8> {
        let mut whole = Vec::new();
        while let Some((kind, message)) = self.answers.next() {
            self.unanswered -= usize::from(kind == b'Z');
            whole.extend(message);
        }
        whole
    }
}

/// Where the server of a database listens.
fn socket(database: &PgConnectOptions) -> PathBuf {
    let name = format!(".s.PGSQL.{}", database.get_port());
    database.get_socket().unwrap().join(name)
}

/// Four bytes, the first the highest.
fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().unwrap())
}
