//! What is no request, too large a one, or one that does not come to its end. No router sees it:
//! hyper refuses it by itself, and here its answer becomes a problem with a request id.

use std::io::{self, IoSlice};
use std::mem;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::middleware::REQUEST_ID;
use super::problem::Problem;
use super::progress::Progress;

/// What ends the head of an answer.
const HEAD_END: &[u8] = b"\r\n\r\n";
/// What an answer begins with, and where in it a space and the status stand.
const VERSION: &[u8] = b"HTTP/1.";
const SPACE: usize = 8;
const STATUS: Range<usize> = 9..12;
/// The only headers of hyper's own refusals. Each answer of the router's has others.
const BARE_HEADERS: [&[u8]; 3] = [b"connection:", b"content-length:", b"date:"];

/// A connection on which hyper's own refusals are kept back; everything else passes, but the end,
/// which is for the holder of the stream to make.
pub(super) struct RefusalInterceptor {
    stream: TcpStream,
    refused: Option<StatusCode>,
    progress: Arc<Progress>,
    /// Whether the client takes nothing of what is written, for now.
    is_stalled: bool,
    /// What it has taken since it last did not.
    taken: usize,
}

impl RefusalInterceptor {
    pub(super) fn new(stream: TcpStream, progress: Arc<Progress>) -> Self {
        Self {
            stream,
            refused: None,
            progress,
            is_stalled: false,
            taken: 0,
        }
    }

    /// The stream, and what hyper would have answered last.
    pub(super) fn into_parts(self) -> (TcpStream, Option<StatusCode>) {
        (self.stream, self.refused)
    }

    fn written(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.taken = self.taken.saturating_add(*bytes);
        }
        match (self.is_stalled, written.is_pending()) {
            (false, true) => self.progress.stalled(mem::take(&mut self.taken)),
            (true, false) => self.progress.unstalled(),
            (true, true) | (false, false) => {}
        }
        self.is_stalled = written.is_pending();
        written
    }
}

impl AsyncRead for RefusalInterceptor {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.progress.received();
        }
        polled
    }
}

impl AsyncWrite for RefusalInterceptor {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = match refusal(bytes) {
            None => bytes,
            Some((&[], status)) => {
                self.refused = Some(status);
                return Poll::Ready(Ok(bytes.len()));
            }
            Some((before, _)) => before,
        };
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A refusal has no body, and comes alone.
        if let [head] = slices {
            return self.poll_write(context, head);
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What is written before hyper's own refusal, and its status, if this ends with one. An answer of
/// the router's may repeat what a client has sent, but never as a status line with nothing but
/// bare headers after it.
fn refusal(bytes: &[u8]) -> Option<(&[u8], StatusCode)> {
    let heads = bytes.strip_suffix(HEAD_END)?;
    let mut starts = heads.windows(VERSION.len());
    let start = starts.rposition(|start| start == VERSION)?;
    let (before, head) = heads.split_at_checked(start)?;
    let mut lines = head.split(|byte| *byte == b'\n');
    let status_line = lines.next()?;
    let status = StatusCode::from_bytes(status_line.get(STATUS)?).ok()?;
    let is_status_line = status_line.get(SPACE) == Some(&b' ') && status.is_client_error();
    let is_bare = |line: &[u8]| {
        let names = |name: &&[u8]| {
            let start = line.get(..name.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        BARE_HEADERS.iter().any(names)
    };
    (is_status_line && lines.all(is_bare)).then_some((before, status))
}

/// Why a connection ended without a request.
pub(super) struct Unparsed {
    status: StatusCode,
    cause: String,
}

impl Unparsed {
    /// What is to be answered where hyper ended with `error`, would have answered `refused`, and
    /// had `unparsed` in its hands, which is too much from `head_bytes_max` on. None where nobody
    /// waits for an answer: the client is gone, or has asked for nothing.
    pub(super) fn of(
        error: &hyper::Error,
        refused: Option<StatusCode>,
        unparsed: &[u8],
        head_bytes_max: usize,
    ) -> Option<Self> {
        let mut head = unparsed.iter().take(head_bytes_max);
        let status = match refused {
            Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
                if head.all(|byte| *byte != b'\n') =>
            {
                if unparsed.len() >= head_bytes_max {
                    // It has not even a first line.
                    StatusCode::URI_TOO_LONG
                } else {
                    // The head was read, and promises a body that hyper cannot count.
                    StatusCode::PAYLOAD_TOO_LARGE
                }
            }
            Some(status) => status,
            None if error.is_parse() => StatusCode::BAD_REQUEST,
            None => return None,
        };
        let cause = error.to_string();
        Some(Self { status, cause })
    }

    /// What is to be answered where a head has taken too long, of which this came. None where
    /// nothing came.
    pub(super) fn late(unparsed: &[u8]) -> Option<Self> {
        (!unparsed.is_empty()).then(|| Self {
            status: StatusCode::REQUEST_TIMEOUT,
            cause: "its head took too long".to_owned(),
        })
    }

    /// The answer, with a request id that the log has too.
    pub(super) fn answer(&self) -> Vec<u8> {
        let Self { status, cause } = self;
        let id = Uuid::now_v7().to_string();
        tracing::info!(
            request.id = id,
            status = status.as_u16(),
            "refused what is no whole request: {cause}"
        );
        let body = Problem::of_status(*status).body(&id);
        let head = format!(
            "HTTP/1.1 {status}\r\n\
             content-type: application/problem+json\r\n\
             content-length: {length}\r\n\
             {REQUEST_ID}: {id}\r\n\
             x-content-type-options: nosniff\r\n\
             cache-control: no-store\r\n\
             connection: close\r\n\
             date: {date}\r\n\r\n",
            length = body.len(),
            date = httpdate::fmt_http_date(SystemTime::now()),
        );
        [head.into_bytes(), body].concat()
    }
}
