//! The README is true: its walk, run as it stands there, ends in a confirmed booking.

#![cfg(feature = "dev")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::env;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// The simulator and the issuer of `dev` have ports of their own: one at a time.
static PORTS: Mutex<()> = Mutex::new(());

/// A running `holdfast dev`.
struct Dev {
    process: Child,
    /// What it goes on saying has somewhere to go.
    _said: BufReader<ChildStdout>,
    /// Where the API is.
    api: String,
    /// A customer's.
    token: String,
}

impl Dev {
    fn start(place: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command
            .arg("dev")
            .current_dir(place)
            .env_remove("DATABASE_URL")
            .env("BIND", "127.0.0.1:0");
        let process = command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = process.spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let (mut api, mut token) = (String::new(), String::new());
        for line in said.by_ref().lines().map_while(Result::ok) {
            if let Some(address) = line.trim().strip_prefix("API ") {
                let address = address.trim().trim_end_matches("/shows");
                address.clone_into(&mut api);
            }
            if let Some(value) = line.strip_prefix("export CUSTOMER=") {
                value.clone_into(&mut token);
                break;
            }
        }
        Self {
            process,
            _said: said,
            api,
            token,
        }
    }

    /// What this says in a shell, as in the README.
    fn shell(&self, script: &str) -> String {
        let script = script.replace("http://localhost:3000/api", &self.api);
        let mut bash = Command::new("bash");
        let bash = bash.args(["-euc", &script]).env("CUSTOMER", &self.token);
        let done = bash.output().unwrap();
        let [shown, errors] =
            [done.stdout, done.stderr].map(|text| String::from_utf8(text).unwrap());
        shown + &errors
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .arg(self.process.id().to_string())
            .status();
        let _ = self.process.wait();
    }
}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let place = env::temp_dir().join(format!("holdfast-{name}-{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    place
}

#[test]
fn the_walk_of_the_readme_ends_in_a_confirmed_booking() {
    let _ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let place = folder("readme");
    let readme = fs::read_to_string("README.md").unwrap();
    let walk = readme
        .split("```bash\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();

    let dev = Dev::start(&place);
    let shown = dev.shell(walk);
    drop(dev);
    // Its Postgres outlives it by some seconds, and may still be writing there.
    let _ = fs::remove_dir_all(&place);

    assert!(shown.contains(r#""status":"confirmed""#), "{shown}");
}

/// Its own world is not that of the settings: neither their database, nor their keys.
#[test]
fn dev_takes_what_is_about_the_api_from_the_settings_of_its_folder() {
    let _ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let place = folder("dev-settings");
    fs::write(place.join("key"), "sk_test_of_somebody").unwrap();
    let settings = format!(
        "DATABASE_URL=postgres://nobody@127.0.0.1:1/none\nSTRIPE_SECRET_KEY_FILE={}\n\
         HTTPS_PROXY=http://127.0.0.1:1\nHOLD_SECONDS=86400000\n",
        place.join("key").display()
    );
    let file = place.join(".env");
    fs::write(&file, settings).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();

    let refused = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(["dev"])
        .current_dir(&place)
        .env("BIND", "127.0.0.1:0")
        .output()
        .unwrap();
    let settings = fs::read_to_string(&file).unwrap();
    fs::write(&file, settings.replace("86400000", "77")).unwrap();
    let dev = Dev::start(&place);
    let of_stranger = dev.shell(
        "curl -s -o /dev/null -w '%{http_code}' -H 'Host: rebound.example' http://localhost:3000/api/shows",
    );
    let own = dev.shell("curl -s -o /dev/null -w '%{http_code}' http://localhost:3000/api/shows");
    drop(dev);
    let _ = fs::remove_dir_all(&place);

    // The file was read, and all else of it was no matter.
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("HOLD_SECONDS"), "{said}");
    assert!(!said.contains("DATABASE_URL"), "{said}");
    assert_eq!((of_stranger.as_str(), own.as_str()), ("421", "200"));
}
