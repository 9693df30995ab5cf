//! The account on disk: one JSON file, replaced as a whole after each change.

use std::io;
use std::path::PathBuf;

use super::account::Account;
use super::delivery::DeliveryState;
use super::idempotency;

#[derive(Debug)]
pub(super) struct Store {
    file: PathBuf,
    written: Vec<u8>,
}

impl Store {
    pub(super) fn new(file: PathBuf) -> Self {
        Self {
            file,
            written: Vec::new(),
        }
    }

    /// The account as it was last written; a missing file is an empty account.
    pub(super) fn load(&self) -> io::Result<Account> {
        let text = match std::fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Account::default()),
            Err(error) => return Err(error),
        };
        let mut account: Account = serde_json::from_slice(&text)?;
        idempotency::forget_running(&mut account);
        for delivery in &mut account.deliveries {
            if delivery.state == DeliveryState::InFlight {
                delivery.state = DeliveryState::Retry { due: 0 };
            }
        }
        Ok(account)
    }

    /// Writes a changed account beside the file and renames it, so that a crash leaves the old one
    /// or the new one.
    pub(super) fn save(&mut self, account: &Account) -> io::Result<()> {
        let text = serde_json::to_vec(account)?;
        if text == self.written {
            return Ok(());
        }
        let beside = self.file.with_extension("new");
        if let Some(folder) = self.file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&beside, &text)?;
        std::fs::rename(&beside, &self.file)?;
        self.written = text;
        Ok(())
    }
}
