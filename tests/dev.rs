//! The world around Holdfast on one machine: the local Postgres, the databases of tests, the
//! development issuer.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::panic, reason = "a panic is a failed test")]

mod dev {
    mod identity;
    mod postgres;
    mod test_database;
    mod webhook_secret;
}
