//! What is around the buyers: a database, a Stripe, an issuer, and two processes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use holdfast::dev::simulator::Simulator;
use holdfast::dev::test_database::TestDatabase;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::Settings;
use crate::balancer;
use crate::gate::{Gate, Target};
use crate::surroundings::process::{Errors, Process};
use crate::surroundings::{ANY_PORT, STRIPE_KEY, Surroundings, send, show, simulator_options};

/// What some buyers know of: it takes a quarter off, of so many live bookings at a time that it is
/// used up now and then.
pub(crate) const VOUCHER: &str = "SOAK";
const VOUCHER_USES_MAX: u64 = 30;
/// Before what a fault has refused is tried again.
const AGAIN: Duration = Duration::from_millis(100);
/// Longer than any request may take.
const ANSWER_MAX: Duration = Duration::from_secs(40);

pub(crate) struct World {
    pub(crate) surroundings: Surroundings,
    pub(crate) to_stripe: Gate,
    pub(crate) to_issuer: Gate,
    pub(crate) to_database: Gate,
    pub(crate) http: Client,
    pub(crate) processes: [tokio::sync::Mutex<Process>; 2],
    pub(crate) urls: [String; 2],
    pub(crate) hold: Duration,
    /// The show on sale.
    show: Mutex<String>,
    admin: String,
    /// How often what happened.
    pub(crate) tally: Mutex<BTreeMap<String, u64>>,
    pub(crate) errors: Errors,
    /// Answers that nobody should get.
    pub(crate) complaints: Mutex<Vec<String>>,
    turn: AtomicUsize,
}

/// A request to Holdfast.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) token: &'a str,
    pub(crate) key: Option<&'a str>,
    pub(crate) body: &'a Value,
}

impl World {
    /// All is up, and a show on sale; chaos begins after that.
    pub(crate) async fn new(settings: &Settings) -> Self {
        let simulator = Simulator::start_behind_gate(simulator_options()).await;
        let surroundings = Surroundings::new(simulator.unwrap()).await;
        let Surroundings {
            simulator,
            issuer,
            database,
        } = &surroundings;
        let to_stripe = Gate::start(Target::Tcp(address(&simulator.url()))).await;
        let to_issuer = Gate::start(Target::Tcp(address(&issuer.url()))).await;
        let to_database = Gate::start(Target::Unix(socket(database))).await;
        let mut environment = surroundings.environment();
        // What is named twice is what it is called last.
        environment.extend([
            ("DATABASE_URL", database_url(database, &to_database)),
            ("STRIPE_API_BASE", format!("http://{}", to_stripe.address)),
            (
                "CLERK_JWKS_URL",
                format!("http://{}/.well-known/jwks.json", to_issuer.address),
            ),
            ("HOLD_SECONDS", settings.hold_seconds.to_string()),
            ("RATE_LIMIT_PER_MINUTE", "0".to_owned()),
            // A few dozen buyers fill show after show, and their banks take their time.
            ("HOLDS_PER_USER", "0".to_owned()),
        ]);
        let errors = Errors::default();
        let processes = start_processes(environment, &errors).await;
        let urls = [processes[0].url(), processes[1].url()];
        let url = balancer::start(ANY_PORT, urls.clone()).await;
        surroundings.send_events_to(url);
        let world = Self {
            admin: surroundings.admin_token(),
            surroundings,
            to_stripe,
            to_issuer,
            to_database,
            http: Client::builder().timeout(ANSWER_MAX).build().unwrap(),
            processes: processes.map(tokio::sync::Mutex::new),
            urls,
            hold: Duration::from_secs(settings.hold_seconds),
            show: Mutex::default(),
            tally: Mutex::default(),
            errors,
            complaints: Mutex::default(),
            turn: AtomicUsize::new(0),
        };
        world.make_voucher().await;
        world.open_show().await;
        if !settings.no_chaos {
            world.start_chaos(settings.seed).await;
        }
        world
    }

    async fn start_chaos(&self, seed: u64) {
        // Nobody notices yet that a refund has failed.
        let percent = json!({
            "refund_fails": 0, "lost_answer": 6, "reset": 6, "rate_limit": 6, "unavailable": 6,
            "error": 6, "stored_error": 4, "lose": 5,
        });
        self.knob("chaos", json!({ "seed": seed, "percent": percent }))
            .await;
    }

    pub(crate) fn database(&self) -> &TestDatabase {
        &self.surroundings.database
    }

    pub(crate) fn token(&self, name: &str) -> String {
        self.surroundings.token(name, &json!({}))
    }

    pub(crate) fn tally(&self, what: &str) {
        *self
            .tally
            .lock()
            .unwrap()
            .entry(what.to_owned())
            .or_default() += 1;
    }

    pub(crate) fn broken(&self, what: String) {
        self.complaints.lock().unwrap().push(what);
    }

    pub(crate) fn show(&self) -> String {
        self.show.lock().unwrap().clone()
    }

    /// Turns a knob of the simulator.
    pub(crate) async fn knob(&self, name: &str, setting: Value) -> (u16, Value) {
        self.surroundings.knob(&self.http, name, &setting).await
    }

    pub(crate) async fn look(&self, path: &str) -> Value {
        let request = self
            .http
            .get(format!("{}{path}", self.surroundings.simulator.url()))
            .bearer_auth(STRIPE_KEY);
        let (status, body) = send(request).await.unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Calls the processes in turn. `None` where no answer came.
    pub(crate) async fn call(&self, call: Call<'_>) -> Option<(u16, Value)> {
        let url = &self.urls[self.turn.fetch_add(1, Ordering::Relaxed) % self.urls.len()];
        let request = self
            .http
            .request(call.method, format!("{url}{}", call.path))
            .bearer_auth(call.token);
        let request = request
            .header("content-type", "application/json")
            .body(call.body.to_string());
        let request = call.key.into_iter().fold(request, |request, key| {
            request.header("idempotency-key", key)
        });
        send(request).await.ok()
    }

    async fn call_as_admin(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Option<(u16, Value)> {
        let call = Call {
            method,
            path,
            token: &self.admin,
            key: None,
            body,
        };
        self.call(call).await
    }

    /// Pays the sessions that were made and not answered: nobody was given their link.
    pub(crate) async fn pay_unanswered(&self) {
        let sessions = self.sessions("open").await;
        for session in sessions
            .iter()
            .filter(|session| session["answered"] == false)
        {
            if self
                .knob("pay", json!({ "session": session["id"] }))
                .await
                .0
                == 200
            {
                self.tally("payments by ghosts");
            }
        }
    }

    /// Stripe's sessions of this status.
    pub(crate) async fn sessions(&self, status: &str) -> Vec<Value> {
        let sessions = self.look("/_simulator/sessions").await;
        sessions
            .as_array()
            .unwrap()
            .iter()
            .filter(|session| session["status"] == status)
            .cloned()
            .collect()
    }

    pub(crate) async fn free_seats(&self) -> u64 {
        let path = format!("/api/shows/{}", self.show());
        let answer = self.call_as_admin(Method::GET, &path, &json!({})).await;
        answer
            .and_then(|(_, show)| show["seats"]["free"].as_u64())
            .unwrap_or(u64::MAX)
    }

    async fn make_voucher(&self) {
        let voucher = json!({ "code": VOUCHER, "percentOff": 25, "maxUses": VOUCHER_USES_MAX });
        let path = "/api/admin/vouchers";
        let made = self.call_as_admin(Method::POST, path, &voucher).await;
        assert!(matches!(&made, Some((201, _))), "no voucher: {made:?}");
    }

    /// Puts the next show on sale: five rows of twenty seats.
    pub(crate) async fn open_show(&self) {
        let rows = ["A", "B", "C", "D", "E"].map(str::to_owned);
        let mut show = show(rows, 20);
        show["delayedMethods"] = json!(true);
        loop {
            match self
                .call_as_admin(Method::POST, "/api/admin/shows", &show)
                .await
            {
                Some((201, show)) => {
                    show["id"]
                        .as_str()
                        .unwrap()
                        .clone_into(&mut self.show.lock().unwrap());
                    return self.tally("shows");
                }
                // The database is away, or no answer came.
                Some((503, _)) | None => tokio::time::sleep(AGAIN).await,
                Some(refused) => panic!("no show: {refused:?}"),
            }
        }
    }
}

/// Where the server of an address listens.
fn address(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

fn socket(database: &TestDatabase) -> PathBuf {
    let options = database.options();
    let name = format!(".s.PGSQL.{}", options.get_port());
    options.get_socket().unwrap().join(name)
}

fn database_url(database: &TestDatabase, gate: &Gate) -> String {
    let options = database.options();
    let (user, name) = (options.get_username(), options.get_database().unwrap());
    format!("postgres://{user}@{}/{name}?sslmode=disable", gate.address)
}

async fn start_processes(
    environment: Vec<(&'static str, String)>,
    errors: &Errors,
) -> [Process; 2] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/soak");
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    // A port counts as free until its process has started.
    let mut first = Process::new("A", environment.clone(), folder.clone(), errors);
    first.start().await;
    let mut second = Process::new("B", environment, folder, errors);
    second.start().await;
    [first, second]
}
