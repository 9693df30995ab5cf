//! Tools of HTTP that no endpoint owns. None of them knows an endpoint.

pub mod acting_admin;
pub mod admission;
pub mod bodies;
pub mod booking_access;
mod client_address;
mod connections;
pub mod extract;
pub mod files;
pub mod idempotency;
mod idempotency_key;
pub mod identity;
mod json;
mod limits;
pub mod middleware;
mod networks;
pub mod paging;
pub mod problem;
mod progress;
pub mod rate_limit;
pub mod reply;
pub mod response_cache;
pub mod server;
mod throttled_log;
mod unparsed;
mod unread;
