//! Work in the background, done by the tests themselves.

use holdfast::domain::job::Job;
use holdfast::jobs;
use serde_json::Value;

use super::TestApp;

impl TestApp {
    /// Keeps the issuer's keys, as `serve` does in the background.
    pub(crate) async fn keep_issuer_keys(&self) {
        self.app.identity.keep_keys(self.now()).await;
    }

    /// Does every job that is due by the clock of this test, each once, until none is due; returns
    /// how many were done. A job that fails stays.
    pub(crate) async fn run_jobs(&self) -> usize {
        let mut tried: Vec<i64> = Vec::new();
        let mut done = 0;
        loop {
            let due = "update jobs
                       set locked_at = now(), locked_by = 'a test'
                       where id = (select id from jobs
                                   where run_at <= $1 and id <> all ($2)
                                   order by run_at, id limit 1)
                       returning id, payload::jsonb";
            let due = sqlx::query_as::<_, (i64, Value)>(due)
                .bind(self.now())
                .bind(&tried);
            let Some((id, payload)) = due.fetch_optional(self.db()).await.unwrap() else {
                return done;
            };
            tried.push(id);
            let job: Job = serde_json::from_value(payload).unwrap();
            let end = if jobs::perform(&self.app, &job).await.is_ok() {
                done += 1;
                "delete from jobs where id = $1"
            } else {
                "update jobs set locked_at = null, locked_by = null
                 where id = $1"
            };
            sqlx::query(end).bind(id).execute(self.db()).await.unwrap();
            self.simulator.settled().await;
        }
    }
}
