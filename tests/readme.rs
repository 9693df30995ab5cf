//! The README is true: its walk, run as it stands there, ends in a confirmed booking.

#![cfg(feature = "dev")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

#[test]
fn the_walk_of_the_readme_ends_in_a_confirmed_booking() {
    let place = std::env::temp_dir().join(format!("holdfast-readme-{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    let readme = fs::read_to_string("README.md").unwrap();
    let walk = readme
        .split("```bash\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();

    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command
        .arg("dev")
        .current_dir(&place)
        .env_remove("DATABASE_URL")
        .env("BIND", "127.0.0.1:0");
    let mut dev = Running(
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let (mut api, mut token) = (String::new(), String::new());
    let mut said = BufReader::new(dev.0.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    for line in said.by_ref() {
        if let Some(address) = line.trim().strip_prefix("API ") {
            api = address.trim().trim_end_matches("/shows").to_owned();
        }
        if let Some(value) = line.strip_prefix("export CUSTOMER=") {
            token = value.to_owned();
            break;
        }
    }
    let walk = walk.replace("http://localhost:3000/api", &api);
    let walked = Command::new("bash")
        .args(["-euc", &walk])
        .env("CUSTOMER", token)
        .output()
        .unwrap();
    drop((dev, said));
    // Its Postgres outlives it by some seconds, and may still be writing there.
    let _ = fs::remove_dir_all(&place);

    let shown = String::from_utf8_lossy(&walked.stdout);
    assert!(
        shown.contains(r#""status":"confirmed""#),
        "{shown}{}",
        String::from_utf8_lossy(&walked.stderr)
    );
}
