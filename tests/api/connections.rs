//! Connections: how long each may do nothing, how many there may be, and what becomes of them at a
//! stop.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::middleware::from_fn;
use axum::routing::{get, post};
use futures_util::stream::{self, StreamExt};
use holdfast::http::bodies::read_body;
use holdfast::http::middleware::request_id;
use holdfast::http::server::{self, Limits};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::harness::RawConnection;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const HALF_A_HEAD: &[u8] = b"GET / HTTP/1.1\r\nhost:";
const HALF_A_BODY: &[u8] = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf";
/// Short, for what is to happen in a test.
const SHORT: Duration = Duration::from_millis(50);

/// A server of a few routes with these limits.
pub(crate) struct Server {
    address: String,
    /// Lets a request to `/slow` go on.
    go_on: Arc<Notify>,
    /// Woken when such a request has begun.
    begun: Arc<Notify>,
    /// Woken when a body is about to be read.
    pub(crate) reading: Arc<Notify>,
    serving: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn new(limits: Limits) -> Self {
        Self::until(limits, pending()).await
    }

    async fn until(limits: Limits, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (go_on, begun) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let slow = {
            let (go_on, begun) = (Arc::clone(&go_on), Arc::clone(&begun));
            async move || {
                begun.notify_one();
                go_on.notified().await;
            }
        };
        let reading = Arc::<Notify>::default();
        let read = {
            let reading = Arc::clone(&reading);
            async move |request| {
                reading.notify_one();
                read_body(request).await.map(drop)
            }
        };
        let router = Router::new()
            .route("/", get(async || ()).post(read))
            .route("/slow", post(slow))
            .layer(from_fn(request_id));
        let serving = tokio::spawn(server::serve(listener, router, limits, stop));
        Self {
            address,
            go_on,
            begun,
            reading,
            serving,
        }
    }

    pub(crate) async fn connect(&self) -> RawConnection {
        RawConnection::to(&self.address).await
    }

    /// A connection on which a request has been answered.
    async fn served(&self) -> RawConnection {
        let mut connection = self.connect().await;
        assert!(answers(&mut connection).await);
        connection
    }

    /// A connection whose request is under way.
    async fn busy(&self) -> RawConnection {
        let mut connection = self.connect().await;
        connection
            .send(b"POST /slow HTTP/1.1\r\nhost: x\r\n\r\n")
            .await;
        self.begun.notified().await;
        connection
    }
}

async fn answers(connection: &mut RawConnection) -> bool {
    connection.send(GET).await;
    connection.answer().await.status == 200
}

#[tokio::test]
async fn a_connection_without_a_request_ends_without_an_answer() {
    let server = Server::new(Limits {
        idle_wait_max: SHORT,
        ..Limits::default()
    })
    .await;

    server.connect().await.ended().await;
    server.served().await.ended().await;
}

#[tokio::test]
async fn a_head_that_comes_drop_by_drop_is_not_waited_for() {
    let server = Server::new(Limits {
        head_wait_max: SHORT,
        head_bytes_max: 1 << 20,
        ..Limits::default()
    })
    .await;
    let mut connection = server.served().await;

    connection.send(b"GET / HTTP/1.1\r\nx-long: ").await;
    let answer = connection.answer_while_sending(b"x").await;

    answer.refused(408, "request_timeout");
}

/// The time of a head begins with its first byte.
#[tokio::test]
async fn a_connection_may_be_idle_for_longer_than_a_head_may_take() {
    let server = Server::new(Limits {
        head_wait_max: SHORT,
        ..Limits::default()
    })
    .await;
    let (mut silent, mut answered) = (server.connect().await, server.served().await);

    let mut late = server.connect().await;
    late.send(HALF_A_HEAD).await;
    late.answer().await.refused(408, "request_timeout");

    assert!(answers(&mut silent).await);
    assert!(answers(&mut answered).await);
}

#[tokio::test]
async fn who_takes_nothing_of_the_answer_is_not_waited_for() {
    struct Ended(Arc<Notify>);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let ended = Arc::new(Notify::new());
    let endless = {
        let ended = Arc::clone(&ended);
        async move || {
            let ended = Ended(ended);
            let chunks = stream::repeat(Bytes::from(vec![b' '; 1 << 16]));
            Body::from_stream(chunks.map(move |chunk| {
                let _ = &ended;
                Ok::<_, std::io::Error>(chunk)
            }))
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = Router::new().route("/", get(endless));
    let limits = Limits {
        answer_wait_max: SHORT,
        ..Limits::default()
    };
    tokio::spawn(server::serve(listener, router, limits, pending()));
    let mut connection = RawConnection::to(&address).await;

    connection.send(GET).await;

    ended.notified().await;
}

#[tokio::test]
async fn a_connection_that_never_had_a_request_makes_room_first() {
    let server = Server::new(Limits {
        connections_max: 3,
        ..Limits::default()
    })
    .await;
    let mut answered = server.served().await;
    let mut silent = server.connect().await;
    let mut begun = server.connect().await;
    begun.send(HALF_A_HEAD).await;

    let mut buyer = server.served().await;
    assert!(silent.is_refused().await);
    let mut another = server.served().await;
    assert!(begun.is_refused().await);
    let mut third = server.served().await;

    assert!(answered.is_refused().await);
    for connection in [&mut buyer, &mut another, &mut third] {
        assert!(answers(connection).await);
    }
}

#[tokio::test]
async fn a_request_under_way_makes_no_room() {
    let server = Server::new(Limits {
        connections_max: 2,
        ..Limits::default()
    })
    .await;
    let mut uploading = server.connect().await;
    uploading.send(HALF_A_BODY).await;
    let mut busy = server.busy().await;

    assert!(server.connect().await.is_refused().await);
    server.go_on.notify_one();

    assert_eq!(busy.answer().await.status, 200);
    uploading.send(b" body").await;
    assert_eq!(uploading.answer().await.status, 200);
    assert!(answers(&mut server.connect().await).await);
}

#[tokio::test]
async fn an_address_has_its_part_of_the_connections_and_not_more() {
    let limits = |shared_networks| Limits {
        connections_per_address_max: 2,
        shared_networks,
        ..Limits::default()
    };
    let server = Server::new(limits(Vec::new())).await;
    let mut first = server.served().await;
    let mut second = server.served().await;

    assert!(server.connect().await.is_refused().await);
    assert!(answers(&mut first).await);
    first
        .send(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    first.rest().await;
    let mut third = server.connect().await;

    assert!(answers(&mut third).await);
    assert!(answers(&mut second).await);

    let proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let behind_a_proxy = Server::new(limits(proxies)).await;
    let mut answered = Vec::new();
    for _ in 0..3 {
        answered.push(behind_a_proxy.served().await);
    }
    for connection in &mut answered {
        assert!(answers(connection).await);
    }
}

#[tokio::test]
async fn at_a_stop_whole_requests_are_answered_and_nothing_else_is_waited_for() {
    let (stop, stopped) = oneshot::channel::<()>();
    let limits = Limits {
        stop_wait_max: SHORT,
        ..Limits::default()
    };
    let server = Server::until(limits, async { stopped.await.unwrap() }).await;
    let mut silent = server.connect().await;
    let mut answered = server.served().await;
    let mut begun = server.connect().await;
    begun.send(HALF_A_HEAD).await;
    let mut uploading = server.connect().await;
    uploading.send(HALF_A_BODY).await;
    let mut busy = server.busy().await;

    stop.send(()).unwrap();

    for connection in [&mut silent, &mut answered, &mut begun, &mut uploading] {
        assert!(connection.is_refused().await);
    }
    assert!(!server.serving.is_finished());
    server.go_on.notify_one();
    let answer = busy.answer().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["connection"], "close");
    server.serving.await.unwrap();
}
