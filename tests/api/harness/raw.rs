//! A connection on which a test sends what no client would send.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, TestApp};

/// A connection, byte by byte.
pub(crate) struct RawConnection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl TestApp {
    /// Connects to the API.
    pub(crate) async fn connect(&self) -> RawConnection {
        RawConnection::to(self.url.trim_start_matches("http://")).await
    }

    /// Sends these bytes on a connection of their own and then reads the answer, which has to be
    /// the last on it.
    pub(crate) async fn send_raw(&self, request: &[u8]) -> Answer {
        let mut connection = self.connect().await;
        connection.send(request).await;
        let answer = connection.answer().await;
        connection.ended().await;
        answer
    }
}

impl RawConnection {
    /// Connects to an address.
    pub(crate) async fn to(address: &str) -> Self {
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            received: Vec::new(),
        }
    }

    /// Sends all of these bytes and reads nothing meanwhile.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends of these bytes what the other side, and the network between, take in at once.
    pub(crate) async fn send_as_far_as_taken(&mut self, bytes: &[u8]) {
        let mut left = bytes;
        while !left.is_empty() {
            tokio::select! {
                biased;
                sent = self.stream.write(left) => left = &left[sent.unwrap()..],
                () = idle() => return,
            }
        }
    }

    /// Sends these bytes again and again until the other side is gone; returns how many there were.
    pub(crate) async fn send_for_ever(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while let Ok(count) = self.stream.write(bytes).await {
            sent += count;
        }
        sent
    }

    /// Sends these bytes again and again until something comes back; returns that answer.
    pub(crate) async fn answer_while_sending(&mut self, bytes: &[u8]) -> Answer {
        let (mut reader, mut writer) = self.stream.split();
        let sending = async {
            while writer.write_all(bytes).await.is_ok() {
                tokio::task::yield_now().await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            read = reader.read_buf(&mut self.received) => assert!(read.unwrap() > 0, "no answer"),
            () = sending => {}
        }
        self.answer().await
    }

    /// Whether the other side has ended or reset the connection, as one without an answer.
    pub(crate) async fn is_refused(&mut self) -> bool {
        matches!(
            self.stream.read_buf(&mut self.received).await,
            Ok(0) | Err(_)
        )
    }

    /// Reads all that comes until the other side ends.
    pub(crate) async fn rest(&mut self) -> String {
        self.stream.read_to_end(&mut self.received).await.unwrap();
        String::from_utf8(std::mem::take(&mut self.received)).unwrap()
    }

    /// Reads the next answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = loop {
            let ended = self.received.windows(4).position(|end| end == b"\r\n\r\n");
            match ended {
                Some(position) => break self.take(position + 4),
                None => assert!(self.read().await > 0, "no answer: {:?}", self.received),
            }
        };
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers: reqwest::header::HeaderMap = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<Vec<(reqwest::header::HeaderName, reqwest::header::HeaderValue)>>()
            .into_iter()
            .collect();
        let length = headers["content-length"].to_str().unwrap().parse().unwrap();
        while self.received.len() < length {
            assert!(self.read().await > 0, "half an answer: {head}");
        }
        let body = String::from_utf8(self.take(length)).unwrap();
        Answer {
            status: status.parse().unwrap(),
            headers,
            body: serde_json::from_str(&body).unwrap_or(Value::String(body)),
        }
    }

    /// Reads the interim answer that asks for the body.
    pub(crate) async fn told_to_go_on(&mut self) {
        let expected = b"HTTP/1.1 100 Continue\r\n\r\n";
        while self.received.len() < expected.len() {
            assert!(self.read().await > 0, "no answer: {:?}", self.received);
        }
        assert_eq!(self.take(expected.len()), expected);
    }

    /// Asserts that nothing else comes.
    pub(crate) async fn ended(&mut self) {
        assert_eq!(self.read().await, 0, "{:?}", self.received);
        assert_eq!(self.received, b"");
    }

    async fn read(&mut self) -> usize {
        self.stream.read_buf(&mut self.received).await.unwrap()
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.received.split_off(count);
        std::mem::replace(&mut self.received, rest)
    }
}

/// Returns when the other tasks have had their turn many times.
async fn idle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}
