//! What stands between the processes and one of their surroundings, and lets nothing pass if it is
//! told so.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// Where it leads.
#[derive(Clone)]
pub(crate) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What it lets pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Open,
    /// Connections come about, and nothing passes.
    Silent,
    /// Connections end at once.
    Closed,
}

pub(crate) struct Gate {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    mode: watch::Sender<Mode>,
    /// How often it was frozen.
    freezes: watch::Sender<u64>,
}

impl Gate {
    pub(crate) async fn start(target: Target) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            mode: watch::Sender::new(Mode::Open),
            freezes: watch::Sender::new(0),
        });
        let accepting = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (state, target) = (Arc::clone(&accepting), target.clone());
                tokio::spawn(async move { state.carry(client, target).await });
            }
        });
        Self { address, state }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.state.mode.send_replace(mode);
    }

    pub(crate) fn mode(&self) -> Mode {
        *self.state.mode.borrow()
    }

    /// Freezes the connections that are there, for ever; new ones work.
    pub(crate) fn freeze(&self) {
        self.state.freezes.send_modify(|freezes| *freezes += 1);
    }
}

impl State {
    async fn carry(&self, mut client: TcpStream, target: Target) -> io::Result<()> {
        match target {
            Target::Tcp(address) => {
                let mut server = TcpStream::connect(address).await?;
                self.pass(&mut client, &mut server).await
            }
            Target::Unix(path) => {
                let mut server = UnixStream::connect(path).await?;
                self.pass(&mut client, &mut server).await
            }
        }
    }

    async fn pass<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        client: &mut TcpStream,
        server: &mut S,
    ) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut mode = self.mode.subscribe();
        let mut freezes = self.freezes.subscribe();
        let is = async |mode: &mut watch::Receiver<Mode>, wanted: Mode| {
            drop(mode.wait_for(|mode| *mode == wanted).await);
        };
        let (mut silent, mut closed) = (mode.clone(), mode.clone());
        tokio::select! {
            passed = copy_bidirectional(client, server) => passed.map(drop),
            () = is(&mut closed, Mode::Closed) => Ok(()),
            () = is(&mut silent, Mode::Silent) => {
                is(&mut mode, Mode::Open).await;
                Ok(())
            }
            _ = freezes.changed() => std::future::pending().await,
        }
    }
}
