//! The end of a history: time passes beyond everything, and then nothing may be left open and no
//! cent unaccounted for.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use holdfast::domain::job::Job;
use holdfast::jobs;
use serde_json::Value;
use sqlx::{AssertSqlSafe, query_as};

use super::generator::History;

/// How often jobs are tried again before they count as stuck: an injected fault spoils a few tries.
const ROUNDS_MAX: usize = 12;

impl History<'_> {
    /// The rule of the fence, at any moment: who can still pay at Stripe has seats that wait for
    /// them. It cannot hold for a booking with a hidden session: of its two sessions, one can be
    /// paid while the other is open.
    pub(crate) async fn check_fence(&mut self) {
        if self.hides_session {
            return;
        }
        let bookings: Vec<(String, String)> = query_as(BOOKINGS)
            .bind(&self.offer)
            .fetch_all(self.harness.db())
            .await
            .unwrap();
        let bookings: BTreeMap<String, String> = bookings.into_iter().collect();
        for session in self.sessions("open").await {
            let booking = session["metadata"]["bookingId"].as_str().unwrap();
            let waits = if session["metadata"]["part"] == "balance" {
                "confirmed"
            } else {
                "pending"
            };
            let status = bookings.get(booking).map(String::as_str);
            assert!(
                status == Some(waits),
                "{booking} is {status:?}, but can be paid: {session}"
            );
        }
    }

    /// Lets everything come to its end, and checks it.
    pub(crate) async fn end(&mut self) {
        for session in self.waiting().await {
            self.settle_one(&session).await;
        }
        if self.chance(50) {
            self.deliver_all().await;
        }
        self.advance(TimeDelta::minutes(45)).await;
        self.finish_jobs().await;
        self.deliver_all().await;
        self.advance(TimeDelta::days(16)).await;
        self.finish_jobs().await;
        if self.chance(50) {
            self.deliver_all().await;
            self.finish_jobs().await;
        }
        self.look_at_refunds().await;
        self.finish_jobs().await;
        self.finish_run().await;
        self.check_fence().await;
        self.check_states().await;
        self.check_money().await;
    }

    /// Whoever has cancelled the show waits until all is done that happens by itself.
    async fn finish_run(&mut self) {
        let waits = "select count(*) from jobs where kind = 'cancelShow'";
        for _ in 0..ROUNDS_MAX {
            if self.harness.sql(waits).await == "0" {
                return;
            }
            self.advance(TimeDelta::hours(7)).await;
            self.finish_jobs().await;
        }
        assert_eq!(self.harness.sql(waits).await, "0", "a run without an end");
    }

    /// Stripe is asked about the refunds of every payment, as a reconciliation does: the events of
    /// some were lost.
    async fn look_at_refunds(&mut self) {
        let payments = "select p.id::text from payments p join bookings b on b.id = p.booking_id
                        where coalesce(b.show_id, b.service_id) = $1::uuid order by p.id";
        let payments: Vec<(String,)> = query_as(payments)
            .bind(&self.offer)
            .fetch_all(self.harness.db())
            .await
            .unwrap();
        for (id,) in payments {
            let job = Job::LookAtRefunds {
                payment_id: id.parse().unwrap(),
                booking_id: None,
            };
            let done = jobs::perform(&self.process().app, &job).await;
            self.note(&format!("{job:?}: {done:?}"));
            done.unwrap();
        }
    }

    /// In any order, and to either process.
    async fn deliver_all(&mut self) {
        let mut events = self.events().await;
        for place in (1..events.len()).rev() {
            let other = self.index(place + 1);
            events.swap(place, other);
        }
        self.note(&format!(
            "delivered: {:?}",
            events.iter().map(|event| &event.kind).collect::<Vec<_>>()
        ));
        for event in &events {
            let process = self.process();
            self.deliver(process, event).await;
        }
    }

    async fn finish_jobs(&mut self) {
        for _ in 0..ROUNDS_MAX {
            if self.run_jobs(false).await == 0 {
                return;
            }
        }
        assert_eq!(self.run_jobs(false).await, 0, "jobs that cannot be done");
    }

    async fn check_states(&self) {
        let legal =
            LEGAL.map(|(what, query)| format!("select '{what}' as what, ({query}) as found"));
        let broken = format!(
            "select what, found from ({}) as legal where found is not null",
            legal.join(" union all ")
        );
        let broken = query_as::<_, (String, String)>(AssertSqlSafe(broken)).bind(&self.offer);
        assert_eq!(broken.fetch_all(self.harness.db()).await.unwrap(), []);
    }

    /// Each capture at Stripe is one payment of ours, and as much of it has gone back.
    async fn check_money(&self) {
        let ours: Vec<(String, i64, i64)> = query_as(OURS)
            .bind(&self.offer)
            .fetch_all(self.harness.db())
            .await
            .unwrap();
        let mut theirs: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        let captured =
            |charge: &&Value| charge["status"] == "succeeded" && charge["captured"] == true;
        for charge in self.all("charges").await.iter().filter(captured) {
            let intent = charge["payment_intent"].as_str().unwrap().to_owned();
            theirs.entry(intent).or_default().0 += charge["amount_captured"].as_i64().unwrap();
        }
        let has_left =
            |refund: &&Value| refund["status"] == "pending" || refund["status"] == "succeeded";
        for refund in self.all("refunds").await.iter().filter(has_left) {
            let intent = refund["payment_intent"].as_str().unwrap().to_owned();
            theirs.entry(intent).or_default().1 += refund["amount"].as_i64().unwrap();
        }
        let ours: BTreeMap<String, (i64, i64)> = ours
            .into_iter()
            .map(|(id, paid, back)| (id, (paid, back)))
            .collect();
        assert_eq!(ours, theirs, "captured and given back: ours, and Stripe's");
    }

    async fn all(&self, objects: &str) -> Vec<Value> {
        let page = self
            .harness
            .ask_stripe(&format!("/v1/{objects}?limit=100"))
            .await;
        assert_eq!(page["has_more"], false, "a history of too many {objects}");
        page["data"].as_array().unwrap().clone()
    }
}

const BOOKINGS: &str = "
  select id::text, status::text from bookings b
  where coalesce(b.show_id, b.service_id) = $1::uuid";

/// What is captured, and what has gone back of it, by PaymentIntent.
const OURS: &str = "
  select coalesce(p.stripe_payment_intent_id, ''), p.amount_minor,
         (select coalesce(sum(r.amount_minor), 0)::bigint from refunds r
          where r.payment_id = p.id and r.status in ('pending', 'succeeded'))
  from payments p join bookings b on b.id = p.booking_id
  where coalesce(b.show_id, b.service_id) = $1::uuid";

/// Each names what must not be at the end.
const LEGAL: [(&str, &str); 14] = [
    (
        "jobs that are left",
        "select string_agg(payload::text, ', ') from jobs",
    ),
    (
        "bookings that still wait",
        "select string_agg(id || ' ' || status, ', ') from bookings b
         where coalesce(b.show_id, b.service_id) = $1::uuid
           and status in ('pending', 'processing')",
    ),
    (
        "seats that nobody has paid for",
        "select string_agg(label, ', ') from seat_claims c join bookings b on b.id = c.booking_id
         where c.show_id = $1::uuid and b.status <> 'review'
           and (b.status <> 'confirmed' or b.paid_minor + b.conceded_minor <> b.total_minor)",
    ),
    (
        "confirmed bookings without their seats",
        "select string_agg(id::text, ', ') from bookings b
         where show_id = $1::uuid and status = 'confirmed'
           and seats <> array(select label from seat_claims c
                              where c.booking_id = b.id order by label)",
    ),
    (
        "slots whose deposit nobody has paid",
        "select string_agg(b.id || ' ' || b.status, ', ')
         from slot_claims c join bookings b on b.id = c.booking_id
         where c.service_id = $1::uuid and b.status <> 'review'
           and (b.status <> 'confirmed' or b.paid_minor + b.conceded_minor < b.due_minor)",
    ),
    (
        "attempts that are still open",
        "select string_agg(a.id || ' ' || a.status || ' of ' || b.status, ', ')
         from checkout_attempts a join bookings b on b.id = a.booking_id
         where coalesce(b.show_id, b.service_id) = $1::uuid
           and a.status in ('creating', 'open', 'processing')",
    ),
    (
        "bookings that were paid twice",
        "select string_agg(n::text, ', ')
         from (select count(*) n from payments p join bookings b on b.id = p.booking_id
               where coalesce(b.show_id, b.service_id) = $1::uuid
                 and disposition = 'applied'
               group by b.id, p.part)
              as applied
         where n > 1",
    ),
    (
        "surplus that neither went back nor waits for a person",
        "select string_agg(p.id || ' ' || surplus_reason, ', ')
         from payments p join bookings b on b.id = p.booking_id
         where coalesce(b.show_id, b.service_id) = $1::uuid and disposition = 'surplus'
           and p.amount_minor <> (
             select coalesce(sum(r.amount_minor), 0) from refunds r
             where r.payment_id = p.id and r.status in ('pending', 'succeeded')
           )
           and not exists (select from discrepancies d
                           where d.booking_id = b.id and d.status = 'open')",
    ),
    (
        "refunds that nobody has asked for, of what was not surplus",
        "select string_agg(r.id::text, ', ') from refunds r join payments p on p.id = r.payment_id
         join bookings b on b.id = p.booking_id
         where coalesce(b.show_id, b.service_id) = $1::uuid
           and p.disposition <> 'surplus' and r.source = 'surplus'",
    ),
    (
        // A refund that has failed was asked for, too.
        "cancellations that did not give back what the policy says",
        "select string_agg(concat_ws(' ', b.id, share, by_policy, asked_back), ', ')
         from bookings b
         left join shows on shows.id = b.show_id and shows.status = 'cancelled'
         cross join lateral (
           select (b.paid_minor * (b.cancellation_policy -> 0 ->> 'refundPercent')::int + 50) / 100
             as share
         ) as policy
         cross join lateral (
           select coalesce(sum(r.amount_minor)
                             filter (where r.source = 'policy'
                                       and r.status not in ('failed', 'canceled')), 0) as by_policy,
                  coalesce(sum(r.amount_minor), 0) as asked_back
           from refunds r join payments p on p.id = r.payment_id
           where p.booking_id = b.id and p.disposition = 'applied'
         ) as back
         where coalesce(b.show_id, b.service_id) = $1::uuid and b.status = 'cancelled'
           and b.paid_minor > 0 and b.confirmed_at is not null
           -- Not one whose buyer wanted that before they paid, and whose seats an admin freed.
           and exists (select from booking_events asked
                       join booking_events ended using (booking_id, transaction_id)
                       where asked.booking_id = b.id and asked.kind = 'cancellationRequested'
                         and ended.kind = 'cancelled')
           and (asked_back < share
             or by_policy > case when shows.id is null then share else b.paid_minor end)",
    ),
    (
        "a cancelled show whose run is not over",
        "select string_agg(s.id::text, ', ') from shows s
         where s.id = $1::uuid and s.status = 'cancelled'
           and not exists (select from runs
                           where show_id = s.id and finished_at is not null)",
    ),
    (
        "bookings of a cancelled show that have not ended",
        "select string_agg(b.id || ' ' || b.status, ', ')
         from bookings b join shows s on s.id = b.show_id
         where s.id = $1::uuid and s.status = 'cancelled' and b.live",
    ),
    (
        // A refund that has failed was asked for, too.
        "money of a cancelled show that nobody has asked back",
        "select string_agg(concat_ws(' ', p.id, p.amount_minor, asked_back), ', ')
         from run_bookings r join payments p using (booking_id) join runs on runs.id = r.run_id
         cross join lateral (
           select coalesce(sum(amount_minor), 0) as asked_back
           from refunds where payment_id = p.id
         ) as back
         where runs.show_id = $1::uuid and p.disposition = 'applied'
           and asked_back < p.amount_minor",
    ),
    (
        "events that nobody has decided",
        "select string_agg(id || ' ' || status, ', ') from payment_events
         where status in ('received', 'deferred', 'failed')",
    ),
];
