//! The data file: a simulator that starts again knows what the last one knew.

use std::path::PathBuf;

use serde_json::json;

use super::harness::{Harness, Receiver, options, session_form, text};

fn data_file() -> PathBuf {
    let name = format!("holdfast-simulator-{}", uuid::Uuid::now_v7());
    std::env::temp_dir().join(name).join("stripe.json")
}

#[tokio::test]
async fn an_open_session_survives_a_restart() {
    let file = data_file();
    let mut first = options(Vec::new());
    first.data_file = Some(file.clone());
    let harness = Harness::with(first, Receiver::default()).await;
    let created = harness
        .post_with_key("k", "/v1/checkout/sessions", &session_form())
        .await;
    drop(harness);

    let mut second = options(Vec::new());
    second.data_file = Some(file.clone());
    let harness = Harness::with(second, Receiver::default()).await;

    let id = text(&created.json(), "id");
    assert_eq!(harness.retrieve(&id).await["status"], "open");
    let replayed = harness
        .post_with_key("k", "/v1/checkout/sessions", &session_form())
        .await;
    assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
    let paid = harness.knob("pay", json!({ "session": id })).await;
    assert_eq!(paid["error"], json!(null));
    std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
}

#[tokio::test]
async fn a_dropped_simulator_stops_serving() {
    let harness = Harness::new().await;
    let url = harness.simulator.url();
    drop(harness);

    let mut reply = reqwest::get(&url).await;
    while reply.is_ok() {
        reply = reqwest::get(&url).await;
    }

    assert!(reply.is_err());
}
