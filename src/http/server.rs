//! The server: takes connections, hands their requests to the router, and ends each connection in
//! such a way that its last answer arrives.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::EXPECT;
use axum::response::Response;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::Service;

use super::unparsed::{RefusalInterceptor, Unparsed};
use super::unread::Unread;

/// How much a client may still send after its last answer: more than any buffer on the way holds,
/// which was sent before the answer could be read.
const BYTES_AFTER_ANSWER_MAX: u64 = 16 << 20;

/// How long and how much a connection may keep the server busy.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What the first line and the headers of a request may have together. There are at most 100
    /// headers, which is hyper's own limit: another one would cost each request an allocation.
    pub head_bytes_max: usize,
    /// How long the head of a request may take, from the answer before it on.
    pub head_wait_max: Duration,
    /// How long a body may take, from when a handler asks for it on.
    pub body_wait_max: Duration,
    /// How long a client may take to end after its last answer.
    pub end_wait_max: Duration,
}

/// How long the body of this request may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyWaitMax(pub(super) Duration);

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 64 << 10,
            // Proxies close an idle connection after 60 s. If we were the first, a request of
            // theirs could meet the end of its connection.
            head_wait_max: Duration::from_secs(75),
            // What is left of the 30 s of a request is enough to ask Stripe. The largest body of
            // a buyer's comes within it at 7 KB/s.
            body_wait_max: Duration::from_secs(10),
            // So long a client at 30 Mbit/s takes for what is read at most.
            end_wait_max: Duration::from_secs(5),
        }
    }
}

/// Serves HTTP/1 until `stop` is ready; then takes no more connections and ends when the requests
/// under way have their answers.
pub async fn serve(
    mut listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .max_header_size(limits.head_bytes_max)
        .header_read_timeout(limits.head_wait_max);
    let server = Arc::new(Server {
        http,
        router,
        limits,
    });
    let (connections, _) = watch::channel(());
    let mut stop = pin!(stop);
    loop {
        let (stream, from) = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = &mut stop => break,
        };
        let stopping = connections.subscribe();
        tokio::spawn(Arc::clone(&server).serve_connection(stream, from, stopping));
    }
    drop(listener);
    connections.send_replace(());
    connections.closed().await;
}

struct Server {
    http: http1::Builder,
    router: Router,
    limits: Limits,
}

impl Server {
    async fn serve_connection(
        self: Arc<Self>,
        stream: TcpStream,
        from: SocketAddr,
        mut stopping: watch::Receiver<()>,
    ) {
        // An answer is written whole and has nothing to wait for.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("a connection keeps its delay: {error}");
        }
        let unread = Arc::new(Unread::default());
        let service = service_fn(|mut request: Request<Incoming>| {
            let (router, unread) = (self.router.clone(), Arc::clone(&unread));
            let extensions = request.extensions_mut();
            extensions.insert(ConnectInfo(from));
            extensions.insert(BodyWaitMax(self.limits.body_wait_max));
            answer(router, unread, request)
        });
        let io = TokioIo::new(RefusalInterceptor::new(stream));
        let mut connection = self.http.serve_connection(io, service);
        let ended = tokio::select! {
            ended = &mut connection => Some(ended),
            _ = stopping.changed() => None,
        };
        let ended = if let Some(ended) = ended {
            ended
        } else {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        };
        let parts = connection.into_parts();
        let (stream, refused) = parts.io.into_inner().into_parts();
        let head_bytes_max = self.limits.head_bytes_max;
        let unparsed = ended
            .err()
            .and_then(|error| Unparsed::of(&error, refused, &parts.read_buf, head_bytes_max));
        let answer = unparsed.as_ref().map(Unparsed::answer);
        let sends_on = answer.is_some() || unread.was_left();
        let ending = end(stream, answer.as_deref().unwrap_or_default(), sends_on);
        // Who is gone, or takes longer, has had its chance.
        let _ = tokio::time::timeout(self.limits.end_wait_max, ending).await;
    }
}

/// The answer to one request, after which the connection lives on if the body was read.
async fn answer(
    mut router: Router,
    unread: Arc<Unread>,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let is_asked_for = request.headers().contains_key(EXPECT);
    let request = request.map(|body| unread.watch(body));
    let mut response = router.call(request).await?;
    unread.drain_or_close(&mut response, is_asked_for).await;
    Ok(response)
}

/// Writes what is left to say and closes. What a client `sends_on` is read and thrown away first: a
/// socket that is closed with unread bytes resets its connection, and the client may lose the
/// answer. <https://www.rfc-editor.org/rfc/rfc9112#section-9.6>
async fn end(mut stream: TcpStream, answer: &[u8], sends_on: bool) -> std::io::Result<()> {
    stream.write_all(answer).await?;
    stream.shutdown().await?;
    if sends_on {
        copy(&mut stream.take(BYTES_AFTER_ANSWER_MAX), &mut sink()).await?;
    }
    Ok(())
}
