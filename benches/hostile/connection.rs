//! A connection on which a hostile caller sends what no client would send.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// What is read at once: most answers come whole.
const BUFFER_BYTES: usize = 16 << 10;
const HEAD_END: &[u8] = b"\r\n\r\n";

pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(to: SocketAddr) -> io::Result<Self> {
        Self::open_from(Ipv4Addr::LOCALHOST, to).await
    }

    /// From an address of this machine; on Linux all of `127.0.0.0/8` are.
    pub(crate) async fn open_from(from: Ipv4Addr, to: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The status of the next answer; its body is thrown away.
    pub(crate) async fn answer(&mut self) -> io::Result<u16> {
        let mut head = Vec::new();
        let body_begins = loop {
            let from = head.len().saturating_sub(HEAD_END.len());
            let count = self.receive().await?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            head.extend_from_slice(&self.buffer[..count]);
            let mut windows = head[from..].windows(HEAD_END.len());
            if let Some(found) = windows.position(|window| window == HEAD_END) {
                break from + found + HEAD_END.len();
            }
        };
        let text = String::from_utf8_lossy(&head[..body_begins]).to_ascii_lowercase();
        let status = text.split(' ').nth(1).and_then(|text| text.parse().ok());
        let mut lengths = text
            .lines()
            .filter_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut left: usize = lengths.next().unwrap_or(0);
        left = left.saturating_sub(head.len() - body_begins);
        while left > 0 {
            match self.receive().await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => left = left.saturating_sub(count),
            }
        }
        status.ok_or_else(|| io::Error::other("no answer of HTTP"))
    }

    /// Returns when the other side has ended it.
    pub(crate) async fn ended(&mut self) {
        while let Ok(1..) = self.receive().await {}
    }

    /// Sends one byte after the other, with pauses, until something is answered or the other side
    /// ends it.
    pub(crate) async fn drip(&mut self, pause: Duration) {
        loop {
            tokio::select! {
                readable = self.stream.readable() => break drop(readable),
                () = tokio::time::sleep(pause) => {
                    if self.send(b"x").await.is_err() {
                        break;
                    }
                }
            }
        }
    }

    async fn receive(&mut self) -> io::Result<usize> {
        // Most of who is silent is never answered, and needs no memory.
        self.buffer.resize(BUFFER_BYTES, 0);
        self.stream.read(&mut self.buffer).await
    }
}
