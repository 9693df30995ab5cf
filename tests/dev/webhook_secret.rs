//! The secret of the simulator's webhooks: made once in each folder, and readable by its owner
//! alone.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use holdfast::dev::webhook_secret::load_or_create;

#[test]
fn each_folder_has_a_secret_of_its_own_that_stays() {
    let folder = env::temp_dir().join(format!("holdfast-secrets-{}", std::process::id()));
    let [first, second] = ["first", "second"].map(|name| folder.join(name));

    let made = [&first, &second].map(|place| load_or_create(place).unwrap());
    let kept = [&first, &second].map(|place| load_or_create(place).unwrap());
    let files: Vec<_> = fs::read_dir(&first)
        .unwrap()
        .map(|file| file.unwrap())
        .collect();
    let [file] = files.as_slice() else {
        panic!("one file was expected: {files:?}")
    };
    let permissions = file.metadata().unwrap().permissions();
    fs::remove_dir_all(&folder).unwrap();

    assert_eq!(made, kept);
    assert_ne!(made[0], made[1]);
    assert!(made.iter().all(|secret| secret.len() == 38), "{made:?}");
    assert_eq!(permissions.mode() & 0o777, 0o600);
}
