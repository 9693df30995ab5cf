//! Batches: who shares one, what their callers are told when it fails, and what is logged of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all, maybe_done, pending};
use holdfast::app::{BatchHandler, BatchLimits, Batched, Batcher, HANDLED_ALONE_MAX};
use holdfast::error::{Error, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tracing_subscriber::filter::LevelFilter;

use crate::harness::{Log, TestApp, send};

/// Makes requests one after the other, which all wait until the last is there, so that they are one
/// batch. One that fails before it gets there is waited for no longer.
pub(crate) async fn at_once<R: Send + Sync + 'static, A: Send + 'static, T>(
    batcher: &Batcher<R, A>,
    requests: impl Iterator<Item = impl Future<Output = T>>,
) -> Vec<T> {
    let pause = batcher.pause().await;
    let mut under_way = Vec::new();
    for request in requests {
        let mut request = Box::pin(maybe_done(request));
        let before = batcher.waiting();
        while batcher.waiting() == before && (&mut request).now_or_never().is_none() {
            yield_now().await;
        }
        under_way.push(request);
    }
    drop(pause);
    join_all(under_way.iter_mut()).await;
    under_way
        .iter_mut()
        .map(|request| request.as_mut().take_output().unwrap())
        .collect()
}

/// What becomes of a batch that holds a number of more than one digit.
#[derive(Clone, Copy)]
enum Trouble {
    Panics,
    Hangs,
    Fails,
    BreaksAtCommit,
    AnswersNobody,
}

/// Fails whoever shares a batch, and keeps whoever is alone until the gate is open.
struct Keeping {
    counts: Arc<Counts>,
    gate: Arc<Semaphore>,
}

impl BatchHandler for Keeping {
    type Request = u32;
    type Answer = u32;

    fn handle<'a>(&'a self, batch: &'a [Batched<u32>]) -> BoxFuture<'a, Result<Vec<Result<u32>>>> {
        Box::pin(async {
            self.counts.batches.fetch_add(1, Ordering::Relaxed);
            let [alone] = batch else {
                return Err(Error::fault("there are others"));
            };
            let under_way = self.counts.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            self.counts
                .most_under_way
                .fetch_max(under_way, Ordering::Relaxed);
            let _open = self.gate.acquire().await;
            self.counts.under_way.fetch_sub(1, Ordering::Relaxed);
            Ok(vec![Ok(alone.request)])
        })
    }
}

/// Doubles numbers, as long as they have one digit.
struct Doubling(Trouble, Arc<Counts>);

#[derive(Default)]
struct Counts {
    batches: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

impl BatchHandler for Doubling {
    type Request = u32;
    type Answer = u32;

    fn conflict_keys(&self, number: &u32) -> Vec<String> {
        vec![number.to_string()]
    }

    fn handle<'a>(&'a self, batch: &'a [Batched<u32>]) -> BoxFuture<'a, Result<Vec<Result<u32>>>> {
        Box::pin(async {
            let Self(trouble, counts) = self;
            counts.batches.fetch_add(1, Ordering::Relaxed);
            let under_way = counts.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            counts
                .most_under_way
                .fetch_max(under_way, Ordering::Relaxed);
            yield_now().await;
            counts.under_way.fetch_sub(1, Ordering::Relaxed);
            if batch.iter().any(|batched| batched.request > 9) {
                match trouble {
                    Trouble::Panics => panic!("a number is too large"),
                    Trouble::Hangs => pending().await,
                    Trouble::Fails => return Err(Error::fault("a number is too large")),
                    Trouble::BreaksAtCommit => return Err(Error::OutcomeUnknown("gone".into())),
                    Trouble::AnswersNobody => return Ok(Vec::new()),
                }
            }
            Ok(batch
                .iter()
                .map(|batched| Ok(batched.request * 2))
                .collect())
        })
    }
}

fn doubling(trouble: Trouble) -> (Batcher<u32, u32>, Arc<Counts>) {
    let counts = Arc::default();
    let batch_time_max = match trouble {
        Trouble::Hangs => Duration::from_millis(5),
        Trouble::Panics | Trouble::Fails | Trouble::BreaksAtCommit | Trouble::AnswersNobody => {
            BatchLimits::USUAL.batch_time_max
        }
    };
    let limits = BatchLimits {
        batch_time_max,
        ..BatchLimits::USUAL
    };
    let handler = Doubling(trouble, Arc::clone(&counts));
    (Batcher::new("numbers", limits, handler), counts)
}

async fn submit(batcher: &Batcher<u32, u32>, numbers: &[u32]) -> Vec<Result<u32>> {
    at_once(
        batcher,
        numbers.iter().map(|number| batcher.submit(*number)),
    )
    .await
}

#[tokio::test]
async fn who_waits_together_shares_a_batch() {
    let (batcher, counts) = doubling(Trouble::Panics);

    let answers = submit(&batcher, &[1, 2, 3]).await;

    assert!(matches!(answers[..], [Ok(2), Ok(4), Ok(6)]), "{answers:?}");
    assert_eq!(counts.batches.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn who_would_meet_another_waits_for_the_next_batch() {
    let (batcher, counts) = doubling(Trouble::Panics);

    let answers = submit(&batcher, &[1, 2, 1]).await;

    assert!(matches!(answers[..], [Ok(2), Ok(4), Ok(2)]), "{answers:?}");
    assert_eq!(counts.batches.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_batch_is_handled_even_if_its_callers_go_away() {
    let (batcher, counts) = doubling(Trouble::Panics);

    let gone = batcher.submit(1);
    assert!(gone.now_or_never().is_none());
    drop(batcher.pause().await);

    assert_eq!(counts.batches.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_panic_is_a_fault_of_its_batch_alone() {
    let (batcher, _) = doubling(Trouble::Panics);

    let answers = submit(&batcher, &[1, 10]).await;
    let next = batcher.submit(1).await;

    assert!(
        matches!(answers[..], [Err(Error::Fault(_)), Err(Error::Fault(_))]),
        "{answers:?}"
    );
    assert!(matches!(next, Ok(2)), "{next:?}");
}

#[tokio::test]
async fn a_batch_that_is_not_answered_is_a_fault() {
    let (batcher, _) = doubling(Trouble::AnswersNobody);

    let answer = batcher.submit(10).await;

    assert!(matches!(answer, Err(Error::Fault(_))), "{answer:?}");
}

#[tokio::test]
async fn of_a_batch_that_takes_too_long_nobody_knows_what_was_done() {
    let (batcher, _) = doubling(Trouble::Hangs);

    let answers = submit(&batcher, &[1, 10]).await;
    let next = batcher.submit(1).await;

    let unknown = |answer: &Result<u32>| matches!(answer, Err(Error::OutcomeUnknown(_)));
    assert!(answers.iter().all(unknown), "{answers:?}");
    assert!(matches!(next, Ok(2)), "{next:?}");
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_again() {
    let (batcher, counts) = doubling(Trouble::BreaksAtCommit);

    let answers = submit(&batcher, &[1, 10]).await;

    let unknown = |answer: &Result<u32>| matches!(answer, Err(Error::OutcomeUnknown(_)));
    assert!(answers.iter().all(unknown), "{answers:?}");
    assert_eq!(counts.batches.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_batch_that_fails_is_handled_one_by_one_and_only_a_few_at_once() {
    let (batcher, counts) = doubling(Trouble::Fails);
    let numbers: Vec<u32> = (100..120).chain(0..10).collect();

    let answers = submit(&batcher, &numbers).await;

    let (failed, answered) = answers.split_at(20);
    let is_fault = |answer: &Result<u32>| matches!(answer, Err(Error::Fault(_)));
    assert!(failed.iter().all(is_fault), "{failed:?}");
    assert!(answered.iter().all(Result::is_ok), "{answered:?}");
    assert_eq!(
        counts.most_under_way.load(Ordering::Relaxed),
        HANDLED_ALONE_MAX
    );
}

#[tokio::test]
async fn of_several_batches_that_fail_no_more_are_handled_at_once_than_of_one() {
    let (counts, gate) = (Arc::<Counts>::default(), Arc::new(Semaphore::new(0)));
    let handler = Keeping {
        counts: Arc::clone(&counts),
        gate: Arc::clone(&gate),
    };
    let batcher = Batcher::new("numbers", BatchLimits::USUAL, handler);
    let reached = async |batches| {
        while counts.batches.load(Ordering::Relaxed) < batches {
            yield_now().await;
        }
    };

    let two_batches = async {
        let first = async { submit(&batcher, &[1, 2, 3, 4, 5, 6, 7]).await };
        let second = async {
            reached(1 + HANDLED_ALONE_MAX).await;
            submit(&batcher, &[11, 12, 13, 14, 15, 16, 17]).await
        };
        let opened = async {
            reached(2 + HANDLED_ALONE_MAX).await;
            for _ in 0..100 {
                yield_now().await;
            }
            gate.add_permits(1);
        };
        tokio::join!(first, second, opened)
    };
    let (first, second, ()) = two_batches.await;

    assert!(first.iter().chain(&second).all(Result::is_ok));
    assert_eq!(
        counts.most_under_way.load(Ordering::Relaxed),
        HANDLED_ALONE_MAX
    );
}

#[tokio::test]
async fn what_is_logged_of_a_request_bears_its_id_though_it_shared_a_batch() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let log = Log::of(LevelFilter::INFO);

    let holds = ["A2", "A3"].map(|seat| {
        let buyer = harness.customer(&format!("buyer_of_{seat}"));
        let body = json!({ "kind": "show", "showId": show, "seats": [seat] });
        let request = buyer.request(Method::POST, "/api/bookings");
        send(
            request
                .header("content-type", "application/json")
                .header("x-request-id", format!("wants-{seat}"))
                .body(body.to_string()),
        )
    });
    let answers = at_once(&harness.app.batchers.holds, holds.into_iter()).await;
    let lines = log.lines();

    assert!(answers.iter().all(|answer| answer.status == 201));
    assert_eq!(
        harness
            .sql("select count(distinct xmin::text) from seat_claims")
            .await,
        "1"
    );
    let of_holds = lines.iter().filter(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.contains("holds what")
    });
    let ids: Vec<&Value> = of_holds.map(|line| &line["span"]["request.id"]).collect();
    assert_eq!(ids, ["wants-A2", "wants-A3"]);
}
