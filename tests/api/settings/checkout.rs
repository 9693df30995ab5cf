//! What payment pages lead to and ask for, and how they name us.

use super::{read, refused};

#[test]
fn what_a_front_end_would_expect_is_the_default() {
    let config = read(&[]).unwrap();

    assert_eq!(config.stripe.app_name, "holdfast");
    assert_eq!(config.checkout.success_path, "/booking/success");
    assert_eq!(config.checkout.cancel_path, "/booking/cancel");
    assert!(!config.checkout.requires_terms);
    assert!(!config.checkout.requires_billing_address);
}

#[test]
fn a_path_is_one_of_the_front_end_to_which_a_query_can_be_appended() {
    for path in [
        "booking/success",
        "//elsewhere.example/",
        "https://elsewhere.example/success",
        "/success?from=stripe",
        "/success#done",
        "/with space",
        "/{CHECKOUT_SESSION_ID}",
    ] {
        for variable in ["CHECKOUT_SUCCESS_PATH", "CHECKOUT_CANCEL_PATH"] {
            refused(&[(variable, path)], variable, "path of the front end");
        }
    }
    read(&[("CHECKOUT_SUCCESS_PATH", "/de/kasse/danke.html")]).unwrap();
}

#[test]
fn a_name_has_letters_and_digits() {
    let long = "x".repeat(41);
    for name in ["two words", "näme", "a,b", &long] {
        refused(&[("APP_NAME", name)], "APP_NAME", "letters, digits");
    }
    read(&[("APP_NAME", "riverside-2.stage_1")]).unwrap();
}

#[test]
fn what_is_asked_for_is_one_of_two_words() {
    for (variable, says) in [
        ("CHECKOUT_TERMS", "off or required"),
        ("CHECKOUT_BILLING_ADDRESS", "auto or required"),
    ] {
        refused(&[(variable, "yes")], variable, says);
        read(&[(variable, "required")]).unwrap();
    }
    read(&[
        ("CHECKOUT_TERMS", "off"),
        ("CHECKOUT_BILLING_ADDRESS", "auto"),
    ])
    .unwrap();
}
