//! The development identity issuer: makes session tokens for a customer and an admin who do not
//! exist, and publishes the key that they are checked against. For a developer's browser it also
//! serves a small site in front of the API.

mod key;
mod server;
mod session;
mod shared;

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use key::SigningKey;
use shared::SharedIssuer;
pub use shared::Site;

use super::loopback::only_here;

/// Where the issuer listens, and what it serves besides its key.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// Port 0 takes any free one.
    pub bind: SocketAddr,
    /// Keeps the key, readable by its owner alone, so that tokens survive a restart; `None` makes a
    /// fresh one.
    pub key_file: Option<PathBuf>,
    /// The site for a developer's browser; `None` serves none.
    pub site: Option<Site>,
}

/// An issuer that serves until it is dropped.
pub struct Issuer {
    shared: Arc<SharedIssuer>,
    _serving: oneshot::Sender<()>,
}

impl Issuer {
    /// Serves from now on, on the runtime that this is called on; on a loopback address the
    /// site is for this machine alone, as who reads its answers can be anybody. The key is public.
    ///
    /// Fails if the address is taken or the key file cannot be used.
    pub async fn start(settings: IssuerSettings) -> io::Result<Self> {
        let key = match &settings.key_file {
            Some(file) => SigningKey::load_or_create(file)?,
            None => SigningKey::generate()?,
        };
        let listener = TcpListener::bind(settings.bind).await?;
        let address = listener.local_addr()?;
        let url = format!("http://{address}");
        let shared = Arc::new(SharedIssuer::new(url, key, settings.site));
        let (serving, dropped) = oneshot::channel::<()>();
        let router = server::keys(&shared).merge(only_here(server::site(&shared), address));
        let service = axum::serve(listener, router);
        let service = service.with_graceful_shutdown(async move { drop(dropped.await) });
        tokio::spawn(async move { service.await });
        Ok(Self {
            shared,
            _serving: serving,
        })
    }

    /// What tokens carry as `iss`; the key is at `/.well-known/jwks.json` below it.
    pub fn url(&self) -> String {
        self.shared.url.clone()
    }

    /// Signs these claims, JSON mostly, and no others, however strange, with the present key.
    pub fn token(&self, claims: &impl Display) -> String {
        self.shared.key().sign(claims)
    }

    /// A session of `user_dev_customer`, which begins now.
    pub fn customer_token(&self, now: DateTime<Utc>, valid_for: TimeDelta) -> String {
        session::token(&self.shared, &session::CUSTOMER, now, valid_for)
    }

    /// A session of `user_dev_admin`, which begins now.
    pub fn admin_token(&self, now: DateTime<Utc>, valid_for: TimeDelta) -> String {
        session::token(&self.shared, &session::ADMIN, now, valid_for)
    }

    /// Replaces the key by a new one with a new `kid`; the old one is no longer published. The key
    /// file keeps the old one.
    #[expect(
        clippy::expect_used,
        reason = "only tests rotate, and they cannot go on"
    )]
    pub fn rotate(&self) {
        let key = SigningKey::generate().expect("the system has randomness for a new key");
        self.shared.replace_key(key);
    }

    /// How often the key was fetched.
    pub fn jwks_requests(&self) -> usize {
        self.shared.jwks_requests.load(Ordering::Relaxed)
    }
}
