//! What is around the callers: a database, a Stripe, an issuer, and one process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use holdfast::dev::simulator::Simulator;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::Settings;
use crate::surroundings::process::{Errors, Process};
use crate::surroundings::{Surroundings, send, show, simulator_options};
use crate::usage::Usage;

/// Longer than a request may take.
const ANSWER_MAX: Duration = Duration::from_secs(40);
/// The status of a request that got no answer.
pub(crate) const NO_ANSWER: u16 = 0;
/// How many seats each row of a show has.
const ROW_SEATS: usize = 10;

/// How the process is started: with what it cannot do without, and with these settings; all others
/// are the defaults.
pub(crate) struct Start<'a> {
    /// What its log is called.
    pub(crate) name: &'static str,
    /// The scenario's.
    pub(crate) own: &'static [(&'static str, &'static str)],
    /// Those of whoever compares.
    pub(crate) given: &'a [(String, String)],
    /// How many files it may have open, if not as many as we may.
    pub(crate) files_max: Option<u64>,
}

impl<'a> Start<'a> {
    /// With nothing else than what whoever compares has given.
    pub(crate) fn usual(name: &'static str, settings: &'a Settings) -> Self {
        Self {
            name,
            own: &[],
            given: &settings.set,
            files_max: None,
        }
    }
}

/// All of it ends with this.
pub(crate) struct World {
    url: String,
    http: Client,
    process: Process,
    errors: Errors,
    surroundings: Surroundings,
}

/// Somebody with an account.
pub(crate) struct Caller<'a> {
    world: &'a World,
    token: String,
    /// How often they got which answer.
    pub(crate) answers: Mutex<BTreeMap<String, u64>>,
}

impl World {
    pub(crate) async fn new(start: Start<'_>) -> Self {
        let simulator = Simulator::start(simulator_options()).await;
        let surroundings = Surroundings::new(simulator.unwrap()).await;
        let mut environment = surroundings.environment();
        let own = start.own.iter();
        environment.extend(own.map(|(name, value)| (*name, (*value).to_owned())));
        for (name, value) in start.given {
            println!("{name}={value}");
            environment.push((&*name.clone().leak(), value.clone()));
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/hostile");
        std::fs::create_dir_all(&folder).unwrap();
        let errors = Errors::default();
        let mut process = Process::new(start.name, environment, folder, &errors);
        if let Some(files_max) = start.files_max {
            process.limit_files(files_max);
        }
        process.start().await;
        let url = process.url();
        surroundings.send_events_to(format!("{url}/api/stripe"));
        // Each request is of somebody else, and so comes on a connection of its own.
        let http = Client::builder().pool_max_idle_per_host(0);
        Self {
            url,
            http: http.timeout(ANSWER_MAX).build().unwrap(),
            process,
            errors,
            surroundings,
        }
    }

    /// Where the process listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.process.id())
    }

    /// How many errors the process has logged.
    pub(crate) fn errors(&self) -> u64 {
        let errors = self.errors.lock().unwrap();
        errors.values().map(|(count, _)| count).sum()
    }

    /// Tells the process to stop; how long that took.
    pub(crate) async fn stop(&mut self) -> Duration {
        self.process.stop().await
    }

    /// An account, with metadata of its own.
    pub(crate) fn caller(&self, name: &str, metadata: &Value) -> Caller<'_> {
        Caller {
            world: self,
            token: self.surroundings.token(name, metadata),
            answers: Mutex::default(),
        }
    }

    /// Puts a show on sale, of so many rows of ten seats; returns its id.
    pub(crate) async fn show(&self, rows: u8) -> String {
        self.create("shows", &show(rows_named(rows), ROW_SEATS))
            .await
    }

    /// Puts so many movies on, with so many shows each; returns the ids of the shows.
    pub(crate) async fn catalogue(&self, movies: u8, shows: u8, rows: u8) -> Vec<String> {
        let mut ids = Vec::new();
        for number in 0..movies {
            let movie = json!({ "title": format!("Metropolis, part {number}") });
            let movie = self.create("movies", &movie).await;
            for _ in 0..shows {
                let mut show = show(rows_named(rows), ROW_SEATS);
                show["movieId"] = json!(movie);
                show.as_object_mut().unwrap().remove("title");
                ids.push(self.create("shows", &show).await);
            }
        }
        ids
    }

    /// Makes something of the catalogue; returns its id.
    async fn create(&self, what: &str, wanted: &Value) -> String {
        let admin = self.caller("admin", &json!({ "role": "admin" }));
        let path = format!("/api/admin/{what}");
        let (status, made) = admin.call(Method::POST, &path, wanted).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    /// The labels of the seats that anybody can see to be free.
    pub(crate) async fn free_seats(&self, show: &str) -> Vec<String> {
        let path = format!("{}/api/shows/{show}/seats", self.url);
        let (_, map) = send(self.http.get(path)).await.unwrap();
        let seats = map["seats"].as_array().unwrap();
        let free = seats.iter().filter(|seat| seat["state"] == "free");
        free.map(|seat| seat["label"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Pays a session, as its buyer does at Stripe.
    pub(crate) async fn pay(&self, session: &str) {
        let paid = json!({ "session": session });
        let (status, paid) = self.surroundings.knob(&self.http, "pay", &paid).await;
        assert_eq!(status, 200, "{paid}");
    }
}

impl Caller<'_> {
    /// Asks for something, and counts the answer. Without one the status is [`NO_ANSWER`].
    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.world.url);
        let request = self.world.http.request(method, url);
        let request = request
            .bearer_auth(&self.token)
            .header("content-type", "application/json")
            .body(body.to_string());
        let (status, body) = send(request).await.unwrap_or((NO_ANSWER, Value::Null));
        let outcome = format!("{status} {}", body["code"].as_str().unwrap_or_default());
        let mut answers = self.answers.lock().unwrap();
        *answers.entry(outcome.trim_end().to_owned()).or_default() += 1;
        (status, body)
    }

    /// Holds seats.
    pub(crate) async fn book(&self, show: &str, seats: &[String]) -> (u16, Value) {
        let order = json!({ "kind": "show", "showId": show, "seats": seats });
        self.call(Method::POST, "/api/bookings", &order).await
    }
}

/// Names of rows: AA, AB, and so on.
fn rows_named(count: u8) -> impl Iterator<Item = String> {
    let letter = |number: u8| char::from(b'A' + number);
    (0..count).map(move |row| format!("{}{}", letter(row / 26), letter(row % 26)))
}
