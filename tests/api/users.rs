//! What is kept of a user.

use serde_json::json;

use crate::harness::TestApp;

const KNOWN: &str =
    "select string_agg(id || ' ' || coalesce(email, '-') || ' ' || coalesce(name, '-'), ', ')
     from users";

#[tokio::test]
async fn a_user_is_kept_when_they_are_first_seen() {
    let harness = TestApp::new().await;

    assert_eq!(
        harness.customer("dana").get("/api/bookings").await.status,
        200
    );

    assert_eq!(
        harness.sql(KNOWN).await,
        "user_dana dana@example.com user_dana"
    );
}

#[tokio::test]
async fn what_changes_of_a_user_is_kept_and_what_is_missing_stays() {
    let harness = TestApp::new().await;
    let cases = [
        (
            json!("dana@example.com"),
            json!("Dana"),
            "user_dana dana@example.com Dana",
        ),
        (
            json!("new@example.com"),
            json!("Dana"),
            "user_dana new@example.com Dana",
        ),
        (
            json!("new@example.com"),
            json!("Dana D."),
            "user_dana new@example.com Dana D.",
        ),
        (
            json!(null),
            json!(null),
            "user_dana new@example.com Dana D.",
        ),
        (json!(""), json!("\0"), "user_dana new@example.com Dana D."),
        (
            json!("dana@example.com"),
            json!("Dana"),
            "user_dana dana@example.com Dana",
        ),
    ];

    for (email, name, kept) in cases {
        let mut claims = harness.claims("user_dana", "");
        claims["email"] = email;
        claims["name"] = name;
        assert_eq!(
            harness
                .bearer(harness.issuer.token(&claims))
                .get("/api/bookings")
                .await
                .status,
            200
        );

        assert_eq!(harness.sql(KNOWN).await, kept);
    }
}

#[tokio::test]
async fn a_token_may_say_nothing_but_who_it_is() {
    let harness = TestApp::new().await;
    let mut claims = harness.claims("user_dana", "");
    claims
        .as_object_mut()
        .unwrap()
        .retain(|name, _| ["sub", "iss", "exp"].contains(&name.as_str()));

    let answer = harness
        .bearer(harness.issuer.token(&claims))
        .get("/api/bookings")
        .await;

    assert_eq!(answer.status, 200);
    assert_eq!(harness.sql(KNOWN).await, "user_dana - -");
}

#[tokio::test]
async fn an_address_that_is_none_stops_no_booking() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let long = format!("{}@example.com", "x".repeat(300));

    for (email, seat) in [
        ("nonsense", "A2"),
        ("a@b", "A3"),
        ("a b@example.com", "A4"),
        (&long, "A5"),
        ("@", "A6"),
    ] {
        let token = harness
            .issuer
            .token(&harness.claims(&format!("user_{seat}"), email));
        harness.bearer(token).booked(&show, &[seat]).await;
    }
    harness.customer("dana").booked(&show, &["A7"]).await;

    assert_eq!(
        harness
            .sql("select string_agg(email, ', ') from users where id <> 'user_admin'")
            .await,
        "dana@example.com"
    );
    let asked = "select string_agg(substring(parameters from 'customer_email=[^&]*'), ', ')
                 from checkout_attempts";
    assert_eq!(harness.sql(asked).await, "customer_email=dana@example.com");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_caller_learns_who_they_are() {
    let harness = TestApp::new().await;

    let dana = harness.customer("dana").get("/api/me").await;
    let admin = harness.admin().get("/api/me").await;

    let expected = json!({
        "id": "user_dana", "email": "dana@example.com", "name": "user_dana", "role": "user",
    });
    assert_eq!((dana.status, dana.body), (200, expected));
    assert_eq!(admin.body["role"], "admin");
    harness.get("/api/me").await.refused(401, "unauthenticated");
}
