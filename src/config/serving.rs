//! The settings of the API itself.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use sqlx::postgres::PgConnectOptions;

use super::reader::{Reader, quote, web_url};
use super::secret::Secret;
use super::settings::BIND_DEFAULT;

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    pub(super) fn bind(&mut self) -> SocketAddr {
        let text = self
            .optional("BIND")
            .unwrap_or_else(|| BIND_DEFAULT.to_owned());
        text.parse().unwrap_or_else(|_| {
            let remedy = format!(
                "must be an address and a port such as {BIND_DEFAULT}, not {}",
                quote(&text)
            );
            self.mistake("BIND", remedy);
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }

    pub(super) fn database_url(&mut self) -> Secret {
        let url = self.required_secret(
            "DATABASE_URL",
            "a Postgres URL such as postgres://user:password@localhost/holdfast",
        );
        self.check_postgres_url("DATABASE_URL", &url);
        Secret::new(url)
    }

    pub(super) fn migration_database_url(&mut self) -> Option<Secret> {
        let url = self.secret("MIGRATION_DATABASE_URL");
        self.check_postgres_url("MIGRATION_DATABASE_URL", &url);
        (!url.is_empty()).then(|| Secret::new(url))
    }

    fn check_postgres_url(&mut self, variable: &'static str, url: &str) {
        let known = url.starts_with("postgres://") || url.starts_with("postgresql://");
        if !url.is_empty() && !known {
            self.mistake(variable, "must begin with postgres:// or postgresql://");
        }
        if known && url.parse::<PgConnectOptions>().is_err() {
            let form =
                "postgres://user:password@host:5432/database, with %40 for an @ in the password";
            self.mistake(variable, format!("cannot be read; write it as {form}"));
        }
    }

    /// Networks of somebody's own, or single addresses.
    pub(super) fn networks(&mut self, variable: &'static str) -> Vec<IpNet> {
        let mut networks = Vec::new();
        for text in self.list(variable) {
            let network = text.parse::<IpNet>().ok();
            let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
            let remedy = match network.or_else(address) {
                Some(network) if is_anybodys(network) => {
                    "has addresses of anybody: name no more than your own, such as 10.0.0.0/8"
                }
                Some(network) => {
                    networks.push(network);
                    continue;
                }
                None => "must be a network such as 10.0.0.0/8",
            };
            self.mistake(variable, format!("{} {remedy}", quote(&text)));
        }
        networks
    }

    /// Origins as browsers send them: scheme, host and port, no path.
    pub(super) fn origins(&mut self, variable: &'static str) -> Vec<String> {
        let origins = self.list(variable);
        if origins.is_empty() {
            self.mistake(
                variable,
                "is missing; set it to the origin of your front end, such as http://localhost:5173",
            );
        }
        for origin in &origins {
            let bare =
                web_url(origin).is_some_and(|url| url.origin().ascii_serialization() == *origin);
            if !bare {
                self.mistake(
                    variable,
                    format!(
                        "{} must be scheme, host and port only, such as http://localhost:5173",
                        quote(origin)
                    ),
                );
            }
        }
        origins
    }
}

/// Whether it is larger than any that one operator has: those of private addresses are `10.0.0.0/8`
/// and `fc00::/7`. <https://www.rfc-editor.org/rfc/rfc6890>
fn is_anybodys(network: IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() < 8,
        IpNet::V6(network) => network.prefix_len() < 7,
    }
}
