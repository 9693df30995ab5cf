//! What the code under test logs. One subscriber serves all tests, and keeps lines only for the
//! thread of a test that asks for them: which spans are worth making is remembered per process, so
//! that a subscriber of one test alone may find that another test has switched its spans off.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Once;

use serde_json::Value;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, dynamic_filter_fn};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

thread_local! {
    static LOG: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// What this thread logs from now on.
#[derive(Clone)]
pub(crate) struct Log {
    level: LevelFilter,
    text: Rc<RefCell<Vec<u8>>>,
}

impl Log {
    /// Keeps what is at this level or above.
    pub(crate) fn of(level: LevelFilter) -> Self {
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            let is_kept = dynamic_filter_fn(|metadata, _| {
                LOG.with_borrow(|log| {
                    log.as_ref()
                        .is_some_and(|log| *metadata.level() <= log.level)
                })
            });
            let lines = layer()
                .json()
                .flatten_event(true)
                .with_span_list(false)
                .with_writer(|| OfThisThread)
                .with_filter(is_kept);
            tracing_subscriber::registry().with(lines).init();
        });
        let text = Rc::default();
        let log = Self { level, text };
        LOG.set(Some(log.clone()));
        log
    }

    /// All of it.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.text.borrow().clone()).unwrap()
    }

    /// Each line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = self.text();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

struct OfThisThread;

impl Write for OfThisThread {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LOG.with_borrow(|log| {
            if let Some(log) = log {
                log.text.borrow_mut().extend_from_slice(line);
            }
        });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
