//! The database alone, attacked in plain SQL that goes around all code of ours.

use holdfast::dev::test_database::TestDatabase;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;

/// A database with one show, whose seats are S1 to S60 and, blocked, X1.
pub(crate) struct SchemaHarness {
    database: TestDatabase,
}

impl SchemaHarness {
    pub(crate) async fn new() -> Self {
        let schema = Self {
            database: crate::harness::database().await,
        };
        let show = id(0);
        schema
            .allows(&format!(
                "insert into users (id, created_at, updated_at) values ('user_1', now(), now());
                 insert into shows (id, title, starts_at, timezone, currency, max_seats_per_booking,
                                    cancellation_policy, created_at)
                 values ('{show}', 'Metropolis', now(), 'UTC', 'eur', 10, '[]', now());
                 insert into show_tiers (show_id, name, position, price_minor)
                 values ('{show}', 'regular', 1, 1000);
                 insert into show_seats (show_id, label, position, tier)
                 select '{show}', 'S' || number, number, 'regular'
                 from generate_series(1, 60) number;
                 insert into show_seats (show_id, label, position, tier, sellable)
                 values ('{show}', 'X1', 61, 'regular', false)"
            ))
            .await;
        schema
    }

    /// Runs statements as one transaction; what is wrong at its end is an error too.
    pub(crate) async fn run(&self, statements: &str) -> sqlx::Result<()> {
        let mut tx = self.database.pool().begin().await?;
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    pub(crate) async fn allows(&self, statements: &str) {
        let done = self.run(statements).await;
        assert!(done.is_ok(), "{done:?}\n{statements}");
    }

    /// The transaction must break, and name this constraint.
    pub(crate) async fn refuses(&self, constraint: &str, statements: &str) {
        match self.run(statements).await {
            Err(sqlx::Error::Database(error)) => {
                assert_eq!(
                    error.constraint(),
                    Some(constraint),
                    "{error:?}\n{statements}"
                );
            }
            other => panic!("{constraint} should refuse, but: {other:?}\n{statements}"),
        }
    }

    pub(crate) async fn count(&self, what: &str) -> i64 {
        let query = format!("select count(*) from {what}");
        sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    pub(crate) fn options(&self) -> sqlx::postgres::PgConnectOptions {
        self.database.options()
    }
}

/// The id of the thing with this number; 0 is the show.
pub(crate) fn id(number: u32) -> String {
    format!("00000000-0000-7000-8000-{number:012}")
}

/// Inserts a booking in any state that is to be paid in full; each seat costs `seat_minor`.
pub(crate) fn booking_as(status: &str, number: u32, seats: &[&str], seat_minor: usize) -> String {
    let total = seats.len() * seat_minor;
    priced_booking(
        status,
        number,
        seats,
        &format!("'full', {total}, {total}, 0"),
    )
}

/// Inserts a booking with this option, total, due sum and paid sum.
pub(crate) fn priced_booking(status: &str, number: u32, seats: &[&str], price: &str) -> String {
    let (booking, show, list) = (id(number), id(0), seats.join(","));
    format!(
        "insert into bookings (id, reference, user_id, kind, show_id, seats, status, currency,
                               payment_option, total_minor, due_minor, paid_minor,
                               cancellation_policy, hold_expires_at, confirmed_at, created_at,
                               updated_at)
         values ('{booking}', 'HF-' || lpad('{number}', 6, '0'), 'user_1', 'show', '{show}',
                 '{{{list}}}', '{status}', 'eur', {price}, '[]', now(), now(), now(), now());"
    )
}

pub(crate) fn claim(booking: u32, label: &str) -> String {
    format!(
        "insert into seat_claims (show_id, label, booking_id) values ('{}', '{label}', '{}');",
        id(0),
        id(booking)
    )
}

/// A pending booking that holds its seats, for 10 euros each.
pub(crate) fn hold(number: u32, seats: &[&str]) -> String {
    let claims = seats.iter().map(|label| claim(number, label));
    std::iter::once(booking_as("pending", number, seats, 1_000))
        .chain(claims)
        .collect()
}

pub(crate) fn release(booking: u32) -> String {
    format!(
        "delete from seat_claims where booking_id = '{}';",
        id(booking)
    )
}

pub(crate) fn set(booking: u32, change: &str) -> String {
    format!("update bookings set {change} where id = '{}';", id(booking))
}

/// A seat released and its booking ended, as it should be.
pub(crate) fn expire(booking: u32) -> String {
    release(booking) + &set(booking, "status = 'expired'")
}

/// Inserts an attempt with the session `cs_<number>`.
pub(crate) fn attempt_as(status: &str, number: u32, booking: u32, part: &str) -> String {
    format!(
        "insert into checkout_attempts (id, booking_id, part, ui, amount_minor, status, parameters,
                                        stripe_session_id, expires_at, created_at, updated_at)
         values ('{}', '{}', '{part}', 'hosted', 1000, '{status}', '', 'cs_{number}', now(), now(),
                 now());",
        id(number),
        id(booking)
    )
}

/// Inserts a payment of 10 euros that is applied, for an attempt with its number.
pub(crate) fn payment(attempt: u32, booking: u32, part: &str) -> String {
    payment_as(
        attempt,
        booking,
        part,
        &format!("'pi_{attempt}', 1000, 'eur', 'applied', null"),
    )
}

/// Inserts a payment with this payment intent, amount, currency, disposition and reason of surplus.
pub(crate) fn payment_as(attempt: u32, booking: u32, part: &str, money: &str) -> String {
    let (attempt, booking) = (id(attempt), id(booking));
    format!(
        "insert into payments (id, booking_id, attempt_id, part, stripe_payment_intent_id,
                               amount_minor, currency, disposition, surplus_reason, settled_by,
                               captured_at)
         values ('{attempt}', '{booking}', '{attempt}', '{part}', {money}, 'webhook', now());"
    )
}

/// A booking of one seat that is confirmed and paid by the attempt `number + 100`.
pub(crate) fn sale(number: u32, seat: &str) -> String {
    let attempt = number + 100;
    [
        hold(number, &[seat]),
        attempt_as("paid", attempt, number, "full"),
        payment(attempt, number, "full"),
        set(number, "status = 'confirmed', paid_minor = 1000"),
    ]
    .concat()
}
