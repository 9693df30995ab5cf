//! What is said on the command line, by both sides.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

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
async fn a_file_of_settings_is_read_where_it_is_named_and_the_environment_goes_before_it() {
    let harness = Harness::new().await;
    let file = harness.folder.join("settings");
    std::fs::write(&file, "HOLD_SECONDS=0\nBIND=nowhere\n").unwrap();

    let ended = harness.run(&["serve", "--env-file", file.to_str().unwrap()], &[]);

    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("1 setting to fix:\n  HOLD_SECONDS: "),
        "{ended:?}"
    );
}

/// A hostile one could send the secret key anywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_env_that_lies_about_is_not_read() {
    let harness = Harness::new().await;
    std::fs::write(harness.folder.join(".env"), "HOLD_SECONDS=0\n").unwrap();

    for command in ["doctor", "migrate", "seed", "verify"] {
        let ended = harness.run(&[command], &[]);
        assert_eq!(ended.code, Some(0), "{command}: {ended:?}");
    }
}

#[tokio::test]
async fn a_file_of_settings_that_cannot_be_read_is_told_without_what_it_holds() {
    let harness = Harness::new().await;
    let file = harness.folder.join("settings");
    std::fs::write(
        &file,
        "HOLD_SECONDS=5\nSTRIPE_SECRET_KEY=\"sk_live_51secret\n",
    )
    .unwrap();

    let ended = harness.run(&["--env-file", file.to_str().unwrap(), "serve"], &[]);

    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("settings"), "{ended:?}");
    assert!(ended.stderr.contains("STRIPE_SECRET_KEY"), "{ended:?}");
    assert!(!ended.stderr.contains("51secret"), "{ended:?}");
    let missing = harness.run(&["serve", "--env-file", "/nowhere"], &[]);
    assert_eq!(missing.code, Some(1));
    assert!(
        missing
            .stderr
            .contains("the file /nowhere: it cannot be read"),
        "{missing:?}"
    );
}

#[tokio::test]
async fn other_machines_are_let_in_only_where_that_is_said() {
    let harness = Harness::new().await;

    let dev = harness.run(&["dev"], &[("BIND", "0.0.0.0:0")]);
    let simulator = harness.run(&["simulator", "--bind", "0.0.0.0:0"], &[]);

    for ended in [dev, simulator] {
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(
            ended.stderr.contains("add --expose if they may"),
            "{ended:?}"
        );
    }
}

/// It has tables, and no mark of `dev`'s.
#[tokio::test]
async fn dev_leaves_a_database_of_others_alone() {
    let harness = Harness::new().await;

    let ended = harness.run(&["dev", "--external-database"], &[]);

    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("is in use, and not by `holdfast dev`"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_database_of_dev_is_not_served() {
    let harness = Harness::new().await;
    harness
        .sql("insert into dev_mark (marked_at) values (now())")
        .await;

    let ended = harness.run(&["serve"], &[]);

    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("belongs to `holdfast dev`"),
        "{ended:?}"
    );
    let jobs = "select count(*) from jobs";
    harness.until(jobs, "0", Duration::ZERO).await;
}
