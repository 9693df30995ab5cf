//! The secret of the simulator's webhooks: another one on each machine, so that who knows this
//! program cannot sign a payment.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process;

use rand::distr::{Alphanumeric, SampleString};

const READABLE_BY_OWNER: u32 = 0o600;
/// As many as Stripe's have after `whsec_`.
const LENGTH: usize = 32;

/// The secret that is kept in this folder, or a new one that it keeps from now on.
pub fn load_or_create(folder: &Path) -> io::Result<String> {
    let path = folder.join("webhook-secret");
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        kept => return kept,
    }
    fs::create_dir_all(folder)?;
    let secret = format!(
        "whsec_{}",
        Alphanumeric.sample_string(&mut rand::rng(), LENGTH)
    );
    // Under its name it is whole, also if this ends here.
    let unfinished = folder.join(format!("webhook-secret.{}", process::id()));
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(READABLE_BY_OWNER)
        .open(&unfinished)?;
    file.write_all(secret.as_bytes())?;
    fs::rename(&unfinished, &path)?;
    Ok(secret)
}
