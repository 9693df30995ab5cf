//! What is said on the command line, by both sides.

use std::process::Command;

use super::stage::{Ended, Stage};

fn holdfast(arguments: &[&str]) -> Ended {
    Ended::of(Command::new(env!("CARGO_BIN_EXE_holdfast")).env_clear().current_dir("/").args(arguments))
}

#[test]
fn every_command_explains_itself() {
    let all = holdfast(&["--help"]);
    assert_eq!(all.code, Some(0));
    assert!(all.stdout.contains("Exit status:"), "{all:?}");

    for command in ["dev", "serve", "migrate", "doctor", "simulator", "seed"] {
        assert!(all.stdout.contains(&format!("\n  {command} ")), "{command} is not in {all:?}");
        let help = holdfast(&[command, "--help"]);
        assert_eq!(help.code, Some(0));
        assert!(help.stdout.contains(&format!("Usage: holdfast {command}")), "{help:?}");
    }
    assert_eq!(holdfast(&["--version"]).stdout, concat!("holdfast ", env!("CARGO_PKG_VERSION"), "\n"));
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
    let stage = Stage::new().await;
    std::fs::write(stage.folder.join(".env"), "HOLD_SECONDS=0\nBIND=nowhere\n").unwrap();

    let ended = stage.run(&["serve"], &[]);

    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("1 setting to mend:\n  HOLD_SECONDS: "), "{ended:?}");
}

#[tokio::test]
async fn a_file_env_that_cannot_be_read_is_told_without_what_it_holds() {
    let stage = Stage::new().await;
    std::fs::write(stage.folder.join(".env"), "HOLD_SECONDS=5\nSTRIPE_SECRET_KEY=\"sk_live_51secret\n").unwrap();

    let ended = stage.run(&["serve"], &[]);

    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains(".env"), "{ended:?}");
    assert!(ended.stderr.contains("STRIPE_SECRET_KEY"), "{ended:?}");
    assert!(!ended.stderr.contains("51secret"), "{ended:?}");
}
