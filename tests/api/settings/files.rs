//! Secrets in files of their own, and files of settings.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use holdfast::config::Environment;

use super::{read, refused};

/// A file in a folder of this test.
fn file(name: &str, content: &str, mode: u32) -> PathBuf {
    let folder =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("settings-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn a_secret_may_be_in_a_file() {
    let key = file("key", "sk_test_from_a_file\n", 0o400);
    let secrets = file("webhooks", "whsec_one,whsec_two\n", 0o400);
    let own = [
        ("STRIPE_SECRET_KEY", ""),
        ("STRIPE_SECRET_KEY_FILE", key.to_str().unwrap()),
        ("STRIPE_WEBHOOK_SECRET", ""),
        ("STRIPE_WEBHOOK_SECRET_FILE", secrets.to_str().unwrap()),
    ];

    let config = read(&own).unwrap();

    assert_eq!(config.stripe.secret_key.reveal(), "sk_test_from_a_file");
    assert_eq!(config.stripe.webhook_secrets.len(), 2);
}

#[test]
fn a_file_of_a_secret_that_is_of_no_use_is_told_and_not_shown() {
    let empty = file("empty", " \n", 0o400);
    let long = file("long", &"sk_test_x".repeat(10_000), 0o400);
    for (path, says) in [
        ("/nowhere/key", "names a file that cannot be read"),
        (empty.to_str().unwrap(), "names a file that is empty"),
        (long.to_str().unwrap(), "has more than 65536 bytes"),
    ] {
        let own = [("STRIPE_SECRET_KEY", ""), ("STRIPE_SECRET_KEY_FILE", path)];
        refused(&own, "STRIPE_SECRET_KEY", says);
    }
    let twice = [("STRIPE_SECRET_KEY_FILE", "/run/secrets/key")];
    refused(&twice, "STRIPE_SECRET_KEY", "keep one of the two");
}

#[test]
fn a_file_of_settings_is_read_beneath_the_environment() {
    let path = file(
        "good",
        "HOLD_SECONDS=5\nPATH=elsewhere\nHTTPS_PROXY=http://evil\n",
        0o640,
    );

    let environment = Environment::with_file(&path).unwrap();

    assert_eq!(environment.get("HOLD_SECONDS").as_deref(), Some("5"));
    assert_ne!(environment.get("PATH").as_deref(), Some("elsewhere"));
    // Only who asks for it finds it, and nobody does.
    assert_eq!(Environment::default().get("HTTPS_PROXY"), None);
}

#[test]
fn a_file_that_others_may_write_to_is_refused() {
    for mode in [0o666, 0o620, 0o602] {
        let path = file("open", "HOLD_SECONDS=5\n", mode);
        let error = Environment::with_file(&path).unwrap_err().to_string();
        assert!(
            error.contains("others may write to it"),
            "{mode:o}: {error}"
        );
        assert!(error.contains("chmod go-w"), "{error}");
    }
}
