//! A connection to Postgres, on loan from a pool. No wait on it is without an end, and it goes back
//! to its pool only if all that was said on it has been answered.

mod sqlstate;
mod trust;

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Error, Execute, Executor, Postgres, SqlStr};
use tokio::time::timeout;

pub use sqlstate::{SqlState, is_broken};
pub use trust::Trust;

/// How long Postgres may say nothing: longer than any statement may take there, and so short that
/// connections that have fallen silent are gone within ten seconds.
pub const SILENCE_MAX: Duration = Duration::from_secs(8);
/// How long a connection may take to go back to its pool.
const RETURN_MAX: Duration = Duration::from_secs(1);

/// A connection to Postgres. Dropped while a statement is under way, or after it has broken, it is
/// closed; else it goes back to its pool.
pub struct Connection {
    /// Absent only while it is dropped.
    pooled: Option<PoolConnection<Postgres>>,
    condition: Condition,
}

/// A transaction on a connection of its own. Dropped without a commit, it is rolled back.
#[derive(Debug)]
pub struct Transaction(Connection);

/// What is known of a connection while it is used.
struct Condition {
    /// Whether it is to be closed, and not given back: while a statement waits for its answer,
    /// after it has broken, and where its user says so.
    must_close: bool,
    is_in_transaction: bool,
    /// How long Postgres may say nothing.
    silence_max: Duration,
    lent_at: Instant,
    trust: Arc<Trust>,
}

impl Connection {
    /// A connection that a pool has lent. What goes wrong with it is told to `trust`.
    pub fn new(pooled: PoolConnection<Postgres>, trust: Arc<Trust>) -> Self {
        Self {
            pooled: Some(pooled),
            condition: Condition {
                must_close: false,
                is_in_transaction: false,
                silence_max: SILENCE_MAX,
                lent_at: Instant::now(),
                trust,
            },
        }
    }

    /// Lets Postgres say nothing for so long, as for a statement that may take its time.
    pub fn wait_for(&mut self, silence_max: Duration) {
        self.condition.silence_max = silence_max;
    }

    /// Begins a transaction on it.
    pub async fn begin(mut self) -> Result<Transaction, Error> {
        self.condition.is_in_transaction = true;
        self.execute("begin").await?;
        Ok(Transaction(self))
    }

    /// Marks a point within a transaction, to be released or to be come back to.
    pub async fn set_savepoint(&mut self) -> Result<(), Error> {
        self.execute("savepoint mark").await.map(drop)
    }

    /// Forgets the point that was marked last; what was done since belongs to what was before.
    pub async fn release_savepoint(&mut self) -> Result<(), Error> {
        self.execute("release savepoint mark").await.map(drop)
    }

    /// Undoes what was done since the point that was marked last, and forgets it.
    pub async fn rollback_to_savepoint(&mut self) -> Result<(), Error> {
        self.execute("rollback to savepoint mark").await?;
        self.release_savepoint().await
    }

    /// Closes it: where it leads, nothing can be done.
    pub fn close(mut self) {
        self.condition.must_close = true;
    }

    fn parts(&mut self) -> Result<(&mut PoolConnection<Postgres>, &mut Condition), Error> {
        let pooled = self.pooled.as_mut().ok_or(Error::PoolClosed)?;
        Ok((pooled, &mut self.condition))
    }
}

impl Transaction {
    /// Commits. An error may leave open whether that was done.
    pub async fn commit(self) -> Result<(), Error> {
        self.end("commit").await
    }

    /// Rolls back.
    pub async fn rollback(self) -> Result<(), Error> {
        self.end("rollback").await
    }

    async fn end(mut self, how: &'static str) -> Result<(), Error> {
        self.0.execute(how).await?;
        self.0.condition.is_in_transaction = false;
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

impl Condition {
    /// What Postgres answers, or an error where it has said nothing for too long.
    async fn until_answered<T>(
        &mut self,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.must_close = true;
        let answer = timeout(self.silence_max, answer).await;
        let answer = answer.unwrap_or_else(|_| Err(silence(self.silence_max)));
        self.end(answer.as_ref().err());
        answer
    }

    /// A statement has ended; an answer that is an error is one, unless the connection is broken.
    fn end(&mut self, error: Option<&Error>) {
        self.must_close = error.is_some_and(is_broken);
        if let Some(error) = error.filter(|error| is_broken(error)) {
            self.trust.lose_by_statement(self.lent_at, error);
        }
    }
}

fn silence(time: Duration) -> Error {
    let sentence = format!("Postgres has said nothing for {time:?}");
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, sentence))
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(pooled) = self.pooled.take() else {
            return;
        };
        if self.condition.must_close {
            drop(pooled.detach());
            return;
        }
        let (is_in_transaction, lent_at) =
            (self.condition.is_in_transaction, self.condition.lent_at);
        let trust = Arc::clone(&self.condition.trust);
        tokio::spawn(async move {
            if let Err(error) = give_back(pooled, is_in_transaction).await {
                trust.lose_by_statement(lent_at, &error);
            }
        });
    }
}

/// Gives a connection back to its pool, without the transaction that it may be in, or closes it if
/// that takes too long.
async fn give_back(
    mut pooled: PoolConnection<Postgres>,
    is_in_transaction: bool,
) -> Result<(), Error> {
    if is_in_transaction {
        let rolled_back = timeout(RETURN_MAX, pooled.execute("rollback")).await;
        if let Err(error) = rolled_back.unwrap_or_else(|_| Err(silence(RETURN_MAX))) {
            drop(pooled.detach());
            return Err(error);
        }
    }
    // It asks Postgres whether it is there.
    let returned = timeout(RETURN_MAX, pooled.return_to_pool()).await;
    returned.map_err(|_| silence(RETURN_MAX))
}

impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (pooled, condition) = match self.parts() {
            Ok(parts) => parts,
            Err(error) => return stream::iter([Err(error)]).boxed(),
        };
        condition.must_close = true;
        let answers = pooled.fetch_many(query);
        stream::unfold(Some((answers, condition)), async |answering| {
            let (mut answers, condition) = answering?;
            let silence_max = condition.silence_max;
            let answer = timeout(silence_max, answers.next()).await;
            match answer.unwrap_or_else(|_| Some(Err(silence(silence_max)))) {
                Some(Ok(answer)) => Some((Ok(answer), Some((answers, condition)))),
                Some(Err(error)) => {
                    condition.end(Some(&error));
                    Some((Err(error), None))
                }
                None => {
                    condition.end(None);
                    None
                }
            }
        })
        .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let (pooled, condition) = self.parts()?;
            condition.until_answered(pooled.fetch_optional(query)).await
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let (pooled, condition) = self.parts()?;
            condition
                .until_answered(pooled.prepare_with(sql, parameters))
                .await
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let (pooled, condition) = self.parts()?;
            condition.until_answered(pooled.describe(sql)).await
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Connection")
    }
}
