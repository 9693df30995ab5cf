//! Bodies that were answered before they were read. The rest of a small one is read, so that the
//! connection can go on; after any other the connection ends.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::timeout;

use super::progress::Progress;

/// The most that is read of a body that nobody wants, before its answer.
const REST_BYTES_MAX: usize = 64 << 10;
/// How long an answer waits for such a rest, which has mostly come with the head.
const REST_WAIT_MAX: Duration = Duration::from_millis(100);

/// What became of the bodies of one connection. HTTP/1 has one request at a time.
pub(super) struct Unread {
    rest: Mutex<Option<Incoming>>,
    was_left: AtomicBool,
    pub(super) progress: Arc<Progress>,
}

impl Unread {
    pub(super) fn new(progress: Arc<Progress>) -> Self {
        Self {
            rest: Mutex::default(),
            was_left: AtomicBool::new(false),
            progress,
        }
    }

    /// The body of a request for its handler. What the handler does not read comes back.
    pub(super) fn watch(self: &Arc<Self>, body: Incoming) -> Body {
        let has_body = !body.is_end_stream();
        self.progress.head_ended(has_body);
        if !has_body {
            return Body::empty();
        }
        Body::new(WatchedBody {
            body: Some(body),
            unread: Arc::clone(self),
        })
    }

    /// Reads what is left of a body, or lets the connection end after this response. Of a client
    /// that asked whether to send its body (`is_asked_for`) nothing is read, as that would say yes.
    pub(super) async fn drain_or_close(&self, response: &mut Response, is_asked_for: bool) {
        let rest = self.rest().take();
        if let Some(rest) = rest
            && (is_asked_for || !read(rest).await)
        {
            self.leave();
        }
        self.progress.body_ended();
        if self.was_left() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
    }

    /// Whether the client may still be sending a body.
    pub(super) fn was_left(&self) -> bool {
        self.was_left.load(Ordering::Relaxed)
    }

    fn leave(&self) {
        self.was_left.store(true, Ordering::Relaxed);
    }

    fn rest(&self) -> MutexGuard<'_, Option<Incoming>> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether that was the whole rest.
async fn read(rest: Incoming) -> bool {
    let least = usize::try_from(rest.size_hint().lower()).unwrap_or(usize::MAX);
    if least > REST_BYTES_MAX {
        return false;
    }
    let read = timeout(REST_WAIT_MAX, throw_away(rest)).await;
    read.unwrap_or(false)
}

/// Whether it came to its end before it was too much.
async fn throw_away(mut rest: Incoming) -> bool {
    let mut thrown = 0_usize;
    while let Some(frame) = rest.frame().await {
        let Ok(frame) = frame else { return false };
        thrown = thrown.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        if thrown > REST_BYTES_MAX {
            return false;
        }
    }
    true
}

/// A body that is handed back when it is dropped before its end.
struct WatchedBody {
    body: Option<Incoming>,
    unread: Arc<Unread>,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(context);
        match &polled {
            Poll::Ready(None) => {
                self.body = None;
                self.unread.progress.body_ended();
            }
            // What follows cannot be read as a body any more.
            Poll::Ready(Some(Err(_))) => {
                self.body = None;
                self.unread.leave();
            }
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        if self.is_end_stream() {
            self.unread.progress.body_ended();
        } else {
            *self.unread.rest() = self.body.take();
        }
    }
}
