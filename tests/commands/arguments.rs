//! What is said on the command line, by both sides.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::harness::{Ended, Harness};

fn holdfast(arguments: &[&str]) -> Ended {
    Ended::of(
        Command::new(env!("CARGO_BIN_EXE_holdfast"))
            .env_clear()
            .current_dir("/")
            .args(arguments),
    )
}

#[test]
fn every_command_explains_itself() {
    let all = holdfast(&["--help"]);
    assert_eq!(all.code, Some(0));
    assert!(all.stdout.contains("Exit status:"), "{all:?}");

    for command in [
        "dev",
        "serve",
        "migrate",
        "doctor",
        "simulator",
        "seed",
        "verify",
    ] {
        assert!(
            all.stdout.contains(&format!("\n  {command} ")),
            "{command} is not in {all:?}"
        );
        let help = holdfast(&[command, "--help"]);
        assert_eq!(help.code, Some(0));
        assert!(
            help.stdout.contains(&format!("Usage: holdfast {command}")),
            "{help:?}"
        );
    }
    assert_eq!(
        holdfast(&["--version"]).stdout,
        concat!("holdfast ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn a_simulator_misbehaves_from_the_start_if_it_is_told_to() {
    let arguments = ["simulator", "--bind", "127.0.0.1:0", "--chaos", "42"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    let mut simulator = command
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(simulator.stdout.take().unwrap()).lines();
    let base = said.next().unwrap().unwrap();

    let chaos = format!(
        "{}/_simulator/chaos",
        base.trim_start_matches("STRIPE_API_BASE=")
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let chaos =
        runtime.block_on(async { reqwest::get(chaos).await.unwrap().text().await.unwrap() });
    simulator.kill().unwrap();
    simulator.wait().unwrap();

    assert!(chaos.contains("\"seed\": 42"), "{chaos}");
}

#[test]
fn wrong_arguments_end_with_2() {
    for wrong in [&[][..], &["surf"], &["serve", "now"], &["--quiet"]] {
        let ended = holdfast(wrong);
        assert_eq!(ended.code, Some(2), "{wrong:?}: {ended:?}");
        assert_eq!(ended.stdout, "");
        assert!(ended.stderr.contains("Usage: holdfast"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_file_env_is_read_and_the_environment_goes_before_it() {
    let harness = Harness::new().await;
    std::fs::write(
        harness.folder.join(".env"),
        "HOLD_SECONDS=0\nBIND=nowhere\n",
    )
    .unwrap();

    let ended = harness.run(&["serve"], &[]);

    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("1 setting to fix:\n  HOLD_SECONDS: "),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_file_env_that_cannot_be_read_is_told_without_what_it_holds() {
    let harness = Harness::new().await;
    std::fs::write(
        harness.folder.join(".env"),
        "HOLD_SECONDS=5\nSTRIPE_SECRET_KEY=\"sk_live_51secret\n",
    )
    .unwrap();

    let ended = harness.run(&["serve"], &[]);

    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains(".env"), "{ended:?}");
    assert!(ended.stderr.contains("STRIPE_SECRET_KEY"), "{ended:?}");
    assert!(!ended.stderr.contains("51secret"), "{ended:?}");
}
