//! The description of the API changes only on purpose.

use holdfast::routes;

/// To accept a change: `UPDATE_OPENAPI=1 cargo test --test api openapi`, and read the difference
/// before it is committed.
#[test]
fn the_description_of_the_api_is_the_accepted_one() {
    let description = routes::openapi().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write("tests/api/openapi.json", &description).unwrap();
    }

    let accepted = std::fs::read_to_string("tests/api/openapi.json").unwrap_or_default();

    assert!(
        description == accepted,
        "the API differs from tests/api/openapi.json; see this test"
    );
}
