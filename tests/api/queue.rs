//! The private tables of the queue's library are what our SQL takes them for: an update of the
//! library that changes them fails here first.

use crate::harness::TestApp;

const JOBS: &str = "attempts int2, created_at timestamptz, flags jsonb, id int8, \
                    is_available bool, job_queue_id int4, key text, last_error text, locked_at timestamptz, \
                    locked_by text, max_attempts int2, payload json, priority int2, revision int4, \
                    run_at timestamptz, task_id int4, updated_at timestamptz";
const TASKS: &str = "id int4, identifier text";

#[tokio::test]
async fn the_tables_of_the_queue_are_those_that_our_sql_knows() {
    let harness = TestApp::new().await;

    for (table, known) in [("_private_jobs", JOBS), ("_private_tasks", TASKS)] {
        let columns = format!(
            "select string_agg(column_name || ' ' || udt_name, ', ' order by column_name)
             from information_schema.columns
             where table_schema = 'graphile_worker' and table_name = '{table}'"
        );
        assert_eq!(harness.sql(&columns).await, known, "{table}");
    }
}
