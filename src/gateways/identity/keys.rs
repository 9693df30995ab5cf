//! The issuer's public keys: fetched, kept, and fetched again. Who stops waiting for them does not
//! stop the fetch, and what the issuer says wrongly does not take away what is known.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::domain::refusal::Refusal;
use crate::error::{Error, Result, explain};

/// How long the issuer may take to answer.
const FETCH_MAX: Duration = Duration::from_secs(5);
/// How long a request waits for the issuer: what hangs must not hold up who has asked us.
const JOIN_MAX: Duration = Duration::from_secs(1);
/// The longest answer that is read; a key has some hundred bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// An unknown key asks an issuer that answers again at most this often: seldom enough that forged
/// tokens cannot make us flood it, and so often that one of them, just before the issuer changes
/// its key, does not keep everybody out.
const PAUSE_AFTER_ANSWER: TimeDelta = TimeDelta::seconds(1);
/// Keys are fetched again after this.
const KEYS_FRESH_FOR: TimeDelta = TimeDelta::minutes(30);
/// How long after its last publication a key counts that the last answer does not have: longer than
/// keys are fresh, so that one strange answer does not sign everybody out.
const KEPT_WITHDRAWN: TimeDelta = TimeDelta::hours(1);
/// How long a key counts without an answer: an issuer that fails may have withdrawn it meanwhile.
const KEPT_UNCONFIRMED: TimeDelta = TimeDelta::days(1);

/// The keys of one issuer.
pub(super) struct IssuerKeys {
    http: reqwest::Client,
    url: String,
    known: RwLock<Known>,
    /// Held while the issuer is asked: one asks, and the others wait for the same answer.
    asking: Mutex<()>,
}

/// What is known of the keys, and of how the issuer answers.
#[derive(Default)]
struct Known {
    by_id: HashMap<String, KnownKey>,
    /// The last answer that made sense.
    answered_at: Option<DateTime<Utc>>,
    /// What went wrong since then.
    failure: Option<Failure>,
    /// How often the issuer was asked.
    asked: u64,
}

struct KnownKey {
    key: Arc<DecodingKey>,
    /// The last answer that had it.
    published_at: DateTime<Utc>,
}

struct Failure {
    at: DateTime<Utc>,
    in_a_row: u32,
    reason: String,
}

/// The keys one by one: a key of a kind that is not known here must not hide the others.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

impl IssuerKeys {
    /// Published at `url`; nothing is fetched yet.
    pub(super) fn new(url: &str) -> Result<Self> {
        // Half an hour lies between two fetches: a connection that is kept for that long is dead.
        let http = reqwest::Client::builder()
            .timeout(FETCH_MAX)
            // Who could send us elsewhere could make tokens.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| Error::fault(format!("no HTTP client: {error}")))?;
        Ok(Self {
            http,
            url: url.to_owned(),
            known: RwLock::default(),
            asking: Mutex::default(),
        })
    }

    /// The key of this id. Refuses with `unauthenticated` one that the issuer, asked a moment ago,
    /// does not have; [`Error::IdentityUnavailable`] where it may have it, and has not said so.
    pub(super) fn find(&self, id: &str, now: DateTime<Utc>) -> Result<Arc<DecodingKey>> {
        let known = self.known();
        let found = known.by_id.get(id).filter(|key| known.counts(key, now));
        match (found, &known.failure) {
            (Some(found), _) => Ok(Arc::clone(&found.key)),
            (None, Some(failure)) => Err(Error::IdentityUnavailable(failure.reason.clone())),
            (None, None) if known.is_paused(now) => Err(Refusal::Unauthenticated(
                "The session token is signed with a key that the issuer does not have.",
            )
            .into()),
            (None, None) => Err(Error::IdentityUnavailable(
                "the issuer has not been asked for one".to_owned(),
            )),
        }
    }

    /// Whether there are keys at hand; an error that says why there are none.
    pub(super) fn any(&self, now: DateTime<Utc>) -> Result<()> {
        let known = self.known();
        if known.by_id.values().any(|key| known.counts(key, now)) {
            return Ok(());
        }
        let reason = known.failure.as_ref().map(|failure| failure.reason.clone());
        let reason = reason.unwrap_or_else(|| "the issuer has not been asked".to_owned());
        Err(Error::IdentityUnavailable(reason))
    }

    /// Whether it is time to ask again, so that no request has to.
    pub(super) fn are_due(&self, now: DateTime<Utc>) -> bool {
        let known = self.known();
        let are_fresh = known
            .answered_at
            .is_some_and(|at| now.signed_duration_since(at).abs() < KEYS_FRESH_FOR);
        known.failure.is_some() || !are_fresh
    }

    /// Asks the issuer, unless it was asked a moment ago, and returns once its answer, or that it
    /// has none, is known, but after [`JOIN_MAX`] at the latest. All who ask at the same time share
    /// one fetch, which goes on.
    pub(super) async fn join(self: &Arc<Self>, now: DateTime<Utc>) {
        // What it will have said is seen by those who come after.
        let _ = timeout(JOIN_MAX, self.ask(now)).await;
    }

    /// The same, for who has the time to wait for the answer.
    pub(super) async fn ask(self: &Arc<Self>, now: DateTime<Utc>) {
        let asked = {
            let known = self.known();
            if known.is_paused(now) {
                return;
            }
            known.asked
        };
        // In a task of its own: the fetch goes on when the request that wants it is broken off.
        let keys = Arc::clone(self);
        let asking = tokio::spawn(async move {
            let _asking = keys.asking.lock().await;
            // Whoever has held the lock meanwhile has asked for all.
            if keys.known().asked == asked {
                keys.refresh(now).await;
            }
        });
        if let Err(error) = asking.await {
            tracing::error!("the issuer's keys were not fetched: {error}");
        }
    }

    async fn refresh(&self, now: DateTime<Utc>) {
        let asked = Instant::now();
        let answer = self.fetch().await;
        // What follows counts from the answer, or from when there was none. In whole seconds, as
        // the pauses are: a clock that stands still is right about an issuer that is quick.
        let waited = TimeDelta::try_seconds(asked.elapsed().as_secs().cast_signed());
        let now = now + waited.unwrap_or_default();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.asked = known.asked.wrapping_add(1);
        match answer {
            Ok(by_id) => {
                if known.failure.take().is_some() {
                    tracing::info!("the issuer publishes its keys again");
                }
                known.learn(by_id, now);
            }
            Err(reason) => {
                let reason = format!("{}: {reason}", self.url);
                let before = known.failure.as_ref().map_or(0, |failure| failure.in_a_row);
                if before == 0 {
                    let at_hand = known.by_id.len();
                    tracing::warn!("going on with {at_hand} keys of the issuer: {reason}");
                }
                known.failure = Some(Failure {
                    at: now,
                    in_a_row: before.saturating_add(1),
                    reason,
                });
            }
        }
    }

    /// The keys that the issuer publishes, or why there are none.
    async fn fetch(&self) -> Result<HashMap<String, Arc<DecodingKey>>, String> {
        let body = self
            .get()
            .await
            .map_err(|error| explain(&error.without_url()))?
            .ok_or_else(|| format!("it says more than {ANSWER_BYTES_MAX} bytes"))?;
        let set: KeySet =
            serde_json::from_slice(&body).map_err(|error| format!("it is no JWKS: {error}"))?;
        let keys: HashMap<_, _> = set.keys.into_iter().filter_map(rsa_key).collect();
        if keys.is_empty() {
            return Err("it has no key for RS256".to_owned());
        }
        Ok(keys)
    }

    /// The answer, unless it is too long.
    async fn get(&self) -> reqwest::Result<Option<Vec<u8>>> {
        let response = self.http.get(&self.url).send().await?;
        let mut response = response.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Ok(None);
            }
        }
        Ok(Some(body))
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Takes over what the issuer publishes `now`. What it has withdrawn goes, unless it says
    /// nothing of any key that is known: then it may not have been the issuer that has answered.
    fn learn(&mut self, published: HashMap<String, Arc<DecodingKey>>, now: DateTime<Utc>) {
        self.answered_at = Some(now);
        if published.keys().any(|id| self.by_id.contains_key(id)) {
            self.by_id.clear();
        }
        let kept = mem::take(&mut self.by_id).into_iter().filter(|(_, known)| {
            now.signed_duration_since(known.published_at).abs() < KEPT_WITHDRAWN
        });
        let published = published.into_iter().map(|(id, key)| {
            let published_at = now;
            (id, KnownKey { key, published_at })
        });
        self.by_id = kept.chain(published).collect();
    }

    /// Whether a key counts at `now`. A clock that was set back does not make it count for longer.
    fn counts(&self, known: &KnownKey, now: DateTime<Utc>) -> bool {
        let kept = if self.answered_at == Some(known.published_at) {
            KEPT_UNCONFIRMED
        } else {
            KEPT_WITHDRAWN
        };
        now.signed_duration_since(known.published_at).abs() < kept
    }

    /// Whether the issuer was asked so short a time ago that it is left in peace. A clock that was
    /// set back does not make the pause longer.
    fn is_paused(&self, now: DateTime<Utc>) -> bool {
        let (since, pause) = match (&self.failure, self.answered_at) {
            (Some(failure), _) => (failure.at, failure.pause()),
            (None, Some(at)) => (at, PAUSE_AFTER_ANSWER),
            (None, None) => return false,
        };
        now.signed_duration_since(since).abs() < pause
    }
}

impl Failure {
    /// How long the issuer is not asked again. Together with a fetch that hangs before it, this is
    /// shorter than the ten seconds after which everything goes on once a fault has ended.
    fn pause(&self) -> TimeDelta {
        match self.in_a_row {
            0 | 1 => TimeDelta::seconds(1),
            2 => TimeDelta::seconds(2),
            _ => TimeDelta::seconds(4),
        }
    }
}

/// The key with its id, if it can check tokens of RS256.
fn rsa_key(key: serde_json::Value) -> Option<(String, Arc<DecodingKey>)> {
    let key: Jwk = serde_json::from_value(key).ok()?;
    let is_rsa = matches!(key.algorithm, AlgorithmParameters::RSA(_));
    let usable = DecodingKey::from_jwk(&key).ok().filter(|_| is_rsa)?;
    Some((key.common.key_id?, Arc::new(usable)))
}
