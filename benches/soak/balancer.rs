//! What stands before the processes for webhooks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use reqwest::Client;

struct Balancer {
    urls: [String; 2],
    http: Client,
    turn: AtomicUsize,
}

/// Takes webhooks and hands them to the processes in turn; one that is dead is a 502, as it is for
/// a while in front of real ones. Returns its address.
pub(crate) async fn start(bind: SocketAddr, urls: [String; 2]) -> String {
    let listener = tokio::net::TcpListener::bind(bind).await.unwrap();
    let address = listener.local_addr().unwrap();
    let balancer = Arc::new(Balancer {
        urls,
        http: Client::new(),
        turn: AtomicUsize::new(0),
    });
    let router = Router::new().fallback(hand_on).with_state(balancer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/api/stripe")
}

async fn hand_on(
    State(balancer): State<Arc<Balancer>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let turn = balancer.turn.fetch_add(1, Ordering::Relaxed);
    let url = &balancer.urls[turn % balancer.urls.len()];
    let mut request = balancer.http.post(format!("{url}/api/stripe")).body(body);
    for name in ["stripe-signature", "content-type"] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value);
        }
    }
    let answer = request.send().await;
    answer.map_or(StatusCode::BAD_GATEWAY, |answer| answer.status())
}
