//! The background half: jobs that run once, twice or not to their end, and processes that die.

use futures_util::future::join_all;
use holdfast::app::{AppState, Batched, Batcher, ReceivedEvent};
use holdfast::domain::attempt::Ui;
use holdfast::domain::booking::ReservedSeats;
use holdfast::domain::booking_request::{BookingRequest, SlotRequest, Wanted};
use holdfast::domain::cancelled_by::CancelledBy;
use holdfast::domain::job::Job;
use holdfast::domain::payment::SettledBy;
use holdfast::domain::user::{Role, User, UserId};
use holdfast::error::{Error, Result};
use holdfast::gateways::stripe::event;
use holdfast::jobs;
use holdfast::repositories::cancellations::Cancellation;
use holdfast::settlement::settle_events;
use holdfast::workflows::checkout::book;
use holdfast::workflows::sessions;
use serde_json::Value;
use sqlx::query_as;
use tracing::Span;

use super::generator::{BUYERS, History};
use crate::harness::{ORIGIN, cut_short};

/// Jobs that two processes take at once.
const AT_ONCE: i64 = 3;

/// A job that is due, and what is drawn for it.
struct DueJob {
    id: i64,
    job: Job,
    how: u32,
    /// When a process dies over it, if it does.
    polls: u32,
}

impl History<'_> {
    /// Does what is due, some of it at once, each job once, twice, twice at once, or half and then
    /// again; returns how many are left undone.
    pub(crate) async fn run_jobs(&mut self, wildly: bool) -> usize {
        let mut tried: Vec<i64> = Vec::new();
        let mut failed = 0;
        if self.chance(40) || !wildly {
            let found = jobs::perform(&self.process().app, &Job::Sweep).await;
            assert!(found.is_ok(), "{found:?}");
        }
        loop {
            let due = "update jobs
                       set locked_at = now(), locked_by = 'a history'
                       where id in (select id from jobs
                                    where run_at <= $1 and id <> all ($2)
                                    order by run_at, id limit $3)
                       returning id, payload::jsonb";
            let limit = if wildly && self.chance(40) {
                AT_ONCE
            } else {
                1
            };
            let due = query_as::<_, (i64, Value)>(due)
                .bind(self.harness.now())
                .bind(&tried)
                .bind(limit);
            let due = due.fetch_all(self.harness.db()).await.unwrap();
            if due.is_empty() {
                return failed;
            }
            tried.extend(due.iter().map(|(id, _)| id));
            let mut drawn = Vec::new();
            for (id, payload) in due {
                let job: Job = serde_json::from_value(payload).unwrap();
                drawn.push(DueJob {
                    id,
                    job,
                    how: self.draw(if wildly { 8 } else { 1 }),
                    polls: self.draw(25),
                });
            }
            let processes = [self.process(), self.process()];
            let apps = processes.map(|process| &process.app);
            let ends = join_all(drawn.iter().map(|due| perform(apps, due))).await;
            for (due, (how, end)) in drawn.iter().zip(ends) {
                self.note(&format!(
                    "{:?} {how}: {}",
                    due.job,
                    end.as_ref()
                        .map_or_else(ToString::to_string, |()| "done".to_owned())
                ));
                self.put_away(due.id, end.is_ok()).await;
                failed += usize::from(end.is_err());
            }
        }
    }

    /// A job that was asked for again while it ran has lost its key, and another stands in its
    /// place.
    async fn put_away(&self, id: i64, done: bool) {
        let end = if done {
            "delete from jobs where id = $1"
        } else {
            "with gone as (delete from jobs where id = $1 and key is null)
             update jobs set locked_at = null, locked_by = null
             where id = $1 and key is not null"
        };
        sqlx::query(end)
            .bind(id)
            .execute(self.harness.db())
            .await
            .unwrap();
    }

    /// A process dies in the middle of a booking, of a cancellation, or of an event.
    pub(crate) async fn crash(&mut self) {
        let process = self.process();
        let app = &process.app;
        let polls = self.draw(30);
        match self.draw(4) {
            0 => {
                let name = BUYERS[self.index(BUYERS.len())];
                let seats = self.seats();
                let voucher = self.chance(30).then(|| self.voucher.clone());
                let request = BookingRequest {
                    voucher,
                    ..self.request(name, &seats)
                };
                let done = dies(app, book(app, &request), polls).await.is_some();
                self.note(&format!(
                    "{name} books {seats:?}; a process dies after {polls}, done: {done}"
                ));
            }
            1 => {
                let Some(booking) = self.some_booking().await else {
                    return;
                };
                let cancellation = Cancellation {
                    booking_id: booking.id.parse().unwrap(),
                    by: CancelledBy::Buyer,
                    version: None,
                    reason: None,
                };
                let cancelled = sessions::cancel(app, cancellation, None);
                let done = cut_short(cancelled, polls).await.is_some();
                self.note(&format!(
                    "{booking:?} is cancelled; a process dies after {polls}, done: {done}"
                ));
            }
            2 => {
                let Some(booking) = self.some_paid_booking(false).await else {
                    return;
                };
                let asked = self.ask(process, &booking, "cancel");
                let status = dies(app, asked, polls).await.map(|answer| answer.status);
                self.note(&format!(
                    "{booking:?} is cancelled; a process dies after {polls}: {status:?}"
                ));
            }
            _ => {
                let events = self.events().await;
                let Some(delivered) = self.pick(&events) else {
                    return;
                };
                let request = ReceivedEvent {
                    event: event::parse(&delivered.body).unwrap(),
                    payload: delivered.body.clone(),
                    settled_by: SettledBy::Webhook,
                };
                let batch = [Batched {
                    request,
                    span: Span::none(),
                }];
                let settled = cut_short(settle_events(app, &batch), polls).await;
                self.note(&format!(
                    "a process dies over {} after {polls}: {settled:?}",
                    delivered.kind
                ));
            }
        }
    }
}

impl History<'_> {
    fn request(&self, name: &str, seats: &[&str]) -> BookingRequest {
        BookingRequest {
            user: User {
                id: UserId(format!("user_{name}")),
                email: None,
                name: None,
                role: Role::User,
            },
            wanted: self.wanted(seats),
            voucher: None,
            ui: Ui::default(),
            origin: ORIGIN.to_owned(),
            key: None,
        }
    }

    fn wanted(&self, seats: &[&str]) -> Wanted {
        if self.is_service {
            return Wanted::Slot(SlotRequest {
                service_id: self.offer.parse().unwrap(),
                wanted: self.slot(seats),
                details: None,
            });
        }
        Wanted::Seats(ReservedSeats {
            show_id: self.offer.parse().unwrap(),
            labels: seats.iter().map(|label| (*label).to_owned()).collect(),
        })
    }
}

/// Cuts the work of a process short. What is in a batch goes on without it, and is waited for.
async fn dies<T>(app: &AppState, work: impl Future<Output = T>, polls: u32) -> Option<T> {
    let done = cut_short(work, polls).await;
    tokio::join!(served(&app.batchers.holds), served(&app.batchers.sessions));
    done
}

async fn served<R: Send + Sync + 'static, A: Send + 'static>(batcher: &Batcher<R, A>) {
    drop(batcher.pause().await);
}

/// Does a job in the way that was drawn; returns which it was, and the end.
async fn perform(apps: [&AppState; 2], due: &DueJob) -> (String, Result<()>) {
    let [app, other] = apps;
    let DueJob { job, polls, .. } = due;
    match due.how {
        5 => {
            let cut = dies(app, jobs::perform(app, job), *polls).await;
            (
                format!("dies after {polls}"),
                cut.unwrap_or_else(|| Err(Error::fault("cut short"))),
            )
        }
        6 => {
            let first = jobs::perform(app, job)
                .await
                .map_err(|error| error.to_string());
            (
                format!("twice, first {first:?}"),
                jobs::perform(other, job).await,
            )
        }
        7 => {
            let (one, two) = tokio::join!(jobs::perform(app, job), jobs::perform(other, job));
            ("twice at once".to_owned(), one.and(two))
        }
        _ => ("once".to_owned(), jobs::perform(app, job).await),
    }
}
