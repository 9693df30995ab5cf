//! A history: what it is drawn from, and in which order its steps come.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::stage::TestApp;

/// Who may buy.
pub(super) const BUYERS: [&str; 3] = ["dana", "emil", "fern"];
/// The seats of each show.
pub(super) const SEATS: [&str; 4] = ["A1", "A2", "A3", "A4"];

/// Events that come some time, however late: nobody asks Stripe yet what has become of a delayed payment.
const NEEDED: &str = "async_payment";

/// What kind of weather it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// Stripe answers.
    Calm,
    /// Stripe errs now and then.
    Stormy,
}

/// One case, and everything that it has drawn so far.
pub(super) struct History<'a> {
    pub(super) stage: &'a TestApp,
    pub(super) mood: Mood,
    pub(super) show: String,
    /// Of a hundred events, so many are never delivered.
    lost_of_hundred: u32,
    /// Events that have been looked at for loss.
    seen: BTreeSet<String>,
    /// Events that are never delivered.
    lost: BTreeSet<String>,
    random: StdRng,
    steps: &'a Mutex<Vec<String>>,
}

impl<'a> History<'a> {
    /// Forgets what Stripe knew of the history before, and opens a show.
    pub(super) async fn begin(stage: &'a TestApp, seed: u64, mood: Mood, steps: &'a Mutex<Vec<String>>) -> Self {
        stage.knob("reset", json!({})).await;
        stage.knob("clock", json!({ "now": stage.now() })).await;
        stage.knob("deliveries", json!({ "drop": true })).await;
        let mut random = StdRng::seed_from_u64(seed);
        let lost_of_hundred = [0, 0, 15, 50, 100][random.random_range(0..5)];
        let soon = random.random_range(0..6) == 0;
        let starts_in = if soon { TimeDelta::minutes(20) } else { TimeDelta::days(60) };
        let show = json!({
            "startsAt": stage.now() + starts_in, "blocked": [],
            "rows": [{ "row": "A", "seats": SEATS.len(), "tier": "regular" }],
        });
        let show = stage.show_with(show).await;
        let history =
            Self { stage, mood, show, lost_of_hundred, seen: BTreeSet::new(), lost: BTreeSet::new(), random, steps };
        history.note(&format!("a show {starts_in} ahead, {lost_of_hundred} % of the events lost"));
        history
    }

    /// From the first step to the end.
    pub(super) async fn tell(mut self) {
        self.book().await;
        for _ in 0..self.draw(14) + 3 {
            self.step().await;
            if self.chance(25) {
                self.check_fence().await;
            }
        }
        self.end().await;
    }

    async fn step(&mut self) {
        let stormy = self.mood == Mood::Stormy;
        match self.draw(if stormy { 28 } else { 25 }) {
            0..4 => self.book().await,
            4..9 => self.pay().await,
            9..11 => self.settle().await,
            11..16 => self.deliver_some().await,
            16 => self.cancel().await,
            17 => self.reopen().await,
            18 => self.verify().await,
            19..22 => {
                self.run_jobs(true).await;
            }
            22..24 => {
                let seconds = [1, 5, 45, 300, 601, 900, 2_200][self.index(7)];
                self.advance(TimeDelta::seconds(seconds)).await;
            }
            24 => self.crash().await,
            _ => self.plant_fault().await,
        }
    }

    /// Lets time pass.
    pub(super) async fn advance(&mut self, by: TimeDelta) {
        self.note(&format!("{} seconds pass", by.num_seconds()));
        self.stage.advance(by).await;
    }

    /// The events that are there and will be delivered some time, oldest first.
    pub(super) async fn events(&mut self) -> Vec<Value> {
        let page = self.stage.ask_stripe("/v1/events?limit=100").await;
        let mut events = page["data"].as_array().unwrap().clone();
        events.reverse();
        for event in &events {
            let id = event["id"].as_str().unwrap();
            let kind = event["type"].as_str().unwrap();
            if self.seen.insert(id.to_owned()) && self.chance(self.lost_of_hundred) && !kind.contains(NEEDED) {
                self.note(&format!("{} is lost", event["type"]));
                self.lost.insert(id.to_owned());
            }
        }
        events.retain(|event| !self.lost.contains(event["id"].as_str().unwrap()));
        events
    }

    /// A number below `end`.
    pub(super) fn draw(&mut self, end: u32) -> u32 {
        self.random.random_range(0..end)
    }

    /// An index of something that has `length` of them.
    pub(super) fn index(&mut self, length: usize) -> usize {
        self.random.random_range(0..length)
    }

    /// True in so many of a hundred cases.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.draw(100) < percent
    }

    /// One of them, if there is one.
    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() { None } else { Some(from[self.index(from.len())].clone()) }
    }

    /// Writes a step down.
    pub(super) fn note(&self, step: &str) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).push(step.to_owned());
    }
}
