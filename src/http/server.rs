//! The server: takes connections, hands their requests to the router, and ends each connection in
//! such a way that its last answer arrives.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::EXPECT;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tower::Service;

use super::bodies::BodyLimits;
use super::connections::{ConnectionPermit, Connections};
pub use super::limits::Limits;
use super::progress::AnswerBody;
use super::throttled_log::ThrottledLog;
use super::unparsed::{RefusalInterceptor, Unparsed};
use super::unread::Unread;

/// How much a client may still send after its last answer: more than any buffer on the way holds,
/// which was sent before the answer could be read.
const BYTES_AFTER_ANSWER_MAX: u64 = 16 << 20;
/// How long no connection is taken after one could not be: another may have ended by then.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves HTTP/1 until `stop` is ready; then takes no more connections, closes those without a
/// whole request, and ends when the others have their answers.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.max_header_size(limits.head_bytes_max)
        .max_buf_size(limits.head_bytes_max);
    let server = Arc::new(Server {
        http,
        router,
        connections: Arc::new(Connections::new(limits.clone())),
        body_limits: Arc::new(BodyLimits::new(&limits)),
        limits,
        unaccepted: ThrottledLog::default(),
    });
    let (stopping, _) = watch::channel(());
    let mut stop = pin!(stop);
    loop {
        let (stream, from) = tokio::select! {
            accepted = server.accept(&listener) => accepted,
            () = &mut stop => break,
        };
        let Some(permit) = server.connections.admit(from.ip()) else {
            continue;
        };
        let accepted = Accepted {
            stream,
            from,
            permit,
            stopping: stopping.subscribe(),
        };
        tokio::spawn(Arc::clone(&server).serve_connection(accepted));
    }
    drop(listener);
    stopping.send_replace(());
    stopping.closed().await;
}

/// A connection that has been taken.
struct Accepted {
    stream: TcpStream,
    from: SocketAddr,
    permit: ConnectionPermit,
    stopping: watch::Receiver<()>,
}

struct Server {
    http: http1::Builder,
    router: Router,
    limits: Limits,
    connections: Arc<Connections>,
    body_limits: Arc<BodyLimits>,
    unaccepted: ThrottledLog,
}

impl Server {
    /// The next connection. Where none can be taken, which is mostly for want of files, one that is
    /// idle makes room.
    async fn accept(&self, listener: &TcpListener) -> (TcpStream, SocketAddr) {
        loop {
            let error = match listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => error,
            };
            if is_of_the_client(&error) {
                continue;
            }
            if let Some(count) = self.unaccepted.count() {
                tracing::error!("no connection can be taken, tried {count} times: {error}");
            }
            self.connections.make_room();
            sleep(ACCEPT_PAUSE).await;
        }
    }

    async fn serve_connection(self: Arc<Self>, accepted: Accepted) {
        let Accepted {
            stream,
            from,
            permit,
            mut stopping,
        } = accepted;
        // An answer is written whole and has nothing to wait for.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("a connection keeps its delay: {error}");
        }
        let progress = &permit.progress;
        let unread = Arc::new(Unread::new(Arc::clone(progress)));
        let service = service_fn(|mut request: Request<Incoming>| {
            let (router, unread) = (self.router.clone(), Arc::clone(&unread));
            let extensions = request.extensions_mut();
            extensions.insert(ConnectInfo(from));
            extensions.insert(Arc::clone(&self.body_limits));
            answer(router, unread, request)
        });
        let io = TokioIo::new(RefusalInterceptor::new(stream, Arc::clone(progress)));
        let mut connection = self.http.serve_connection(io, service);
        let mut timer = pin!(sleep(self.limits.idle_wait_max));
        let mut is_stopping = false;
        let ended = loop {
            tokio::select! {
                // The connection first: the others go by how far it has come.
                biased;
                ended = &mut connection => break Some(ended),
                () = poll_fn(|context| {
                    progress.poll_overdue(&self.limits, timer.as_mut(), context)
                }) => break None,
                () = progress.ended() => return,
                _ = stopping.changed(), if !is_stopping => {}
            }
            is_stopping = true;
            if !progress.stop() {
                return;
            }
            Pin::new(&mut connection).graceful_shutdown();
        };
        let parts = connection.into_parts();
        let (stream, refused) = parts.io.into_inner().into_parts();
        let unparsed = match &ended {
            Some(Ok(())) => None,
            Some(Err(error)) => {
                let head_bytes_max = self.limits.head_bytes_max;
                Unparsed::of(error, refused, &parts.read_buf, head_bytes_max)
            }
            // What was begun to be answered cannot be answered otherwise.
            None if progress.is_unread() => return,
            None => Unparsed::late(&parts.read_buf),
        };
        let answer = unparsed.as_ref().map(Unparsed::answer);
        let sends_on = answer.is_some() || unread.was_left();
        let ending = end(stream, answer.as_deref().unwrap_or_default(), sends_on);
        tokio::select! {
            // Who is gone, or takes longer, has had its chance.
            _ = timeout(self.limits.end_wait_max, ending) => {}
            () = progress.ended() => {}
            () = self.stopped(stopping, is_stopping) => {}
        }
    }

    /// Returns a little after the server has begun to stop.
    async fn stopped(&self, mut stopping: watch::Receiver<()>, is_stopping: bool) {
        // The sender outlives all connections.
        if is_stopping || stopping.changed().await.is_ok() {
            sleep(self.limits.stop_wait_max).await;
        }
    }
}

/// Whether a client has gone before its connection could be taken.
fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

/// The answer to one request, after which the connection lives on if the body was read.
async fn answer(
    mut router: Router,
    unread: Arc<Unread>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let is_asked_for = request.headers().contains_key(EXPECT);
    let request = request.map(|body| unread.watch(body));
    let mut response = router.call(request).await?;
    unread.drain_or_close(&mut response, is_asked_for).await;
    let progress = Arc::clone(&unread.progress);
    Ok(response.map(|body| AnswerBody::new(body, progress)))
}

/// Writes what is left to say and closes. What a client `sends_on` is read and thrown away first: a
/// socket that is closed with unread bytes resets its connection, and the client may lose the
/// answer. <https://www.rfc-editor.org/rfc/rfc9112#section-9.6>
async fn end(mut stream: TcpStream, answer: &[u8], sends_on: bool) -> io::Result<()> {
    stream.write_all(answer).await?;
    stream.shutdown().await?;
    if sends_on {
        copy(&mut stream.take(BYTES_AFTER_ANSWER_MAX), &mut sink()).await?;
    }
    Ok(())
}
