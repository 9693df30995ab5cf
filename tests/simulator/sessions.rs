//! Checkout Sessions: creation with its rules, and the way to their end.

use serde_json::{Value, json};

use super::harness::{Harness, NOW, session_form, session_form_with, text};

const SESSIONS: &str = "/v1/checkout/sessions";

#[tokio::test]
async fn a_new_session_is_open_and_unpaid() {
    let harness = Harness::new().await;

    let session = harness.post(SESSIONS, &session_form()).await.json();

    assert_eq!(session["status"], "open");
    assert_eq!(session["payment_status"], "unpaid");
    assert_eq!(session["amount_total"], 2400);
    assert_eq!(session["currency"], "eur");
    assert_eq!(session["payment_intent"], Value::Null);
    assert_eq!(session["livemode"], false);
    assert_eq!(session["expires_at"], NOW + 24 * 60 * 60);
    assert_eq!(session["metadata"], json!({ "bookingId": "booking-1" }));
    let id = text(&session, "id");
    assert!(id.starts_with("cs_test_"), "{id}");
    let page = format!("{}/c/pay/{id}", harness.simulator.url());
    assert_eq!(text(&session, "url"), page);
}

#[tokio::test]
async fn a_session_of_ones_own_page_has_a_secret_and_no_url() {
    let harness = Harness::new().await;
    for ui_mode in ["embedded_page", "elements"] {
        let form = session_form_with("success_url", "").replace("cancel_url=", "return_url=");

        let session = harness
            .post(SESSIONS, &format!("{form}&ui_mode={ui_mode}"))
            .await
            .json();

        assert_eq!(session["url"], Value::Null, "{session}");
        let secret = text(&session, "client_secret");
        assert!(
            secret.starts_with(&format!("{}_secret_", text(&session, "id"))),
            "{secret}"
        );
    }
}

#[tokio::test]
async fn a_session_can_be_expired_only_while_open() {
    let harness = Harness::new().await;
    let id = harness.session().await;
    let expire = format!("{SESSIONS}/{id}/expire");

    let first = harness.post(&expire, "").await;
    let second = harness.post(&expire, "").await;

    assert_eq!(first.json()["status"], "expired");
    assert_eq!(first.json()["url"], Value::Null);
    assert_eq!(second.status, 400);
    assert_eq!(
        text(&second.error(), "message"),
        "Only Checkout Sessions with a status in [\"open\"] can be expired. \
         This Checkout Session has a status of `expired`."
    );
    assert_eq!(second.error()["code"], Value::Null);
    harness.simulator.settled().await;
    assert_eq!(harness.receiver.kinds(), ["checkout.session.expired"]);
}

#[tokio::test]
async fn an_unknown_session_is_missing() {
    let harness = Harness::new().await;

    let reply = harness.get("/v1/checkout/sessions/cs_test_unknown").await;

    assert_eq!(reply.status, 404);
    assert_eq!(reply.error()["code"], "resource_missing");
}

#[tokio::test]
async fn metadata_can_be_set_and_unset_later() {
    let harness = Harness::new().await;
    let id = harness.session().await;

    let changed = harness
        .post(
            &format!("{SESSIONS}/{id}"),
            "metadata[bookingId]=&metadata[part]=full",
        )
        .await;

    assert_eq!(changed.json()["metadata"], json!({ "part": "full" }));
}

#[tokio::test]
async fn line_items_are_listed_and_expanded() {
    let harness = Harness::new().await;
    let id = harness.session().await;

    let listed = harness
        .get(&format!("{SESSIONS}/{id}/line_items"))
        .await
        .json();
    let expanded = harness
        .get(&format!("{SESSIONS}/{id}?expand[]=line_items"))
        .await
        .json();

    assert_eq!(listed["data"][0]["description"], "Stalls & more");
    assert_eq!(listed["data"][0]["amount_total"], 2400);
    assert_eq!(expanded["line_items"]["data"], listed["data"]);
}

#[tokio::test]
async fn sessions_are_listed_newest_first_a_page_at_a_time() {
    let harness = Harness::new().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(harness.session().await);
    }

    let first = harness.get("/v1/checkout/sessions?limit=2").await.json();
    let rest = harness
        .get(&format!(
            "/v1/checkout/sessions?limit=2&starting_after={}",
            ids[1]
        ))
        .await
        .json();
    let before = harness
        .get(&format!(
            "/v1/checkout/sessions?limit=2&ending_before={}",
            ids[1]
        ))
        .await
        .json();

    let of = |page: &Value| -> Vec<String> {
        page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| text(row, "id"))
            .collect()
    };
    assert_eq!(of(&first), [ids[2].clone(), ids[1].clone()]);
    assert_eq!(first["has_more"], true);
    assert_eq!(of(&rest), [ids[0].clone()]);
    assert_eq!(rest["has_more"], false);
    assert_eq!(of(&before), [ids[2].clone()]);
}

/// Posts each form and expects its refusal: parameter, value, `param` and `code` of the error.
async fn assert_refused(harness: &Harness, cases: &[(&str, &str, &str, &str)]) {
    for (name, value, param, code) in cases {
        let reply = harness
            .post(SESSIONS, &session_form_with(name, value))
            .await;

        assert_eq!(reply.status, 400, "{name}={value}: {}", reply.text);
        let error = reply.error();
        assert_eq!(
            text(&error, "type"),
            "invalid_request_error",
            "{name}={value}"
        );
        assert_eq!(text(&error, "param"), *param, "{name}={value}");
        assert_eq!(text(&error, "code"), *code, "{name}={value}");
    }
    assert_eq!(harness.look("sessions").await, json!([]));
}

#[tokio::test]
async fn what_is_missing_or_unknown_is_refused_with_its_parameter() {
    let harness = Harness::new().await;
    let amount = "line_items[0][price_data][unit_amount]";

    let cases = [
        ("mode", "", "mode", "parameter_missing"),
        ("success_url", "", "success_url", "parameter_missing"),
        (amount, "", amount, "parameter_missing"),
        ("colour", "red", "colour", "parameter_unknown"),
        (
            "payment_method_types[0]",
            "card",
            "payment_method_types",
            "parameter_unknown",
        ),
        (
            "line_items[0][colour]",
            "red",
            "line_items[0][colour]",
            "parameter_unknown",
        ),
    ];

    assert_refused(&harness, &cases).await;
}

#[tokio::test]
async fn what_has_the_wrong_form_is_refused_with_its_parameter() {
    let harness = Harness::new().await;
    let amount = "line_items[0][price_data][unit_amount]";
    let quantity = "line_items[0][quantity]";

    let cases = [
        ("success_url", "shop.example", "success_url", "url_invalid"),
        (
            "success_url",
            "ftp://shop.example",
            "success_url",
            "url_invalid",
        ),
        (
            "customer_email",
            "nobody",
            "customer_email",
            "email_invalid",
        ),
        (
            "expires_at",
            "soon",
            "expires_at",
            "parameter_invalid_integer",
        ),
        (amount, "abc", amount, "parameter_invalid_integer"),
        (amount, "-1", amount, "parameter_invalid_integer"),
        (quantity, "0", quantity, "parameter_invalid_integer"),
        ("ui_mode", "custom", "ui_mode", ""),
        ("submit_type", "rent", "submit_type", ""),
    ];

    assert_refused(&harness, &cases).await;
}

#[tokio::test]
async fn what_breaks_a_bound_is_refused_with_its_parameter() {
    let harness = Harness::new().await;
    let amount = "line_items[0][price_data][unit_amount]";
    let early = (NOW + 30 * 60 - 1).to_string();
    let late = (NOW + 24 * 60 * 60 + 1).to_string();
    let long_key = format!("metadata[{}]", "k".repeat(41));
    let long_value = "v".repeat(501);

    let cases = [
        ("expires_at", early.as_str(), "expires_at", ""),
        ("expires_at", &late, "expires_at", ""),
        (amount, "24", "line_items", "amount_too_small"),
        (amount, "50000000", "line_items", "amount_too_large"),
        ("return_url", "https://shop.example", "return_url", ""),
        ("currency", "usd", "line_items", ""),
        ("customer", "cus_1", "customer_email", ""),
        (&long_key, "1", &long_key, ""),
        ("metadata[long]", &long_value, "metadata[long]", ""),
    ];

    assert_refused(&harness, &cases).await;
}

#[tokio::test]
async fn a_session_may_live_exactly_thirty_minutes_on_stripes_clock() {
    let harness = Harness::new().await;
    let expires_at = (NOW + 30 * 60).to_string();

    let reply = harness
        .post(SESSIONS, &session_form_with("expires_at", &expires_at))
        .await;

    assert_eq!(reply.json()["expires_at"], NOW + 30 * 60, "{}", reply.text);
}

#[tokio::test]
async fn each_currency_has_its_own_decimals() {
    let harness = Harness::new().await;
    for (currency, amount, allowed) in [
        ("jpy", "25", true),
        ("jpy", "24", false),
        ("kwd", "1000", true),
        ("kwd", "1001", false),
        ("isk", "50000", true),
        ("isk", "50001", false),
        ("xyz", "1000", false),
    ] {
        let form = session_form_with("line_items[0][price_data][currency]", currency)
            .replace("[unit_amount]=1200", &format!("[unit_amount]={amount}"));

        let reply = harness.post(SESSIONS, &form).await;

        assert_eq!(
            reply.status == 200,
            allowed,
            "{currency} {amount}: {}",
            reply.text
        );
    }
}

#[tokio::test]
async fn at_most_a_hundred_line_items_and_fifty_metadata_keys() {
    let harness = Harness::new().await;
    let item = "[quantity]=1&x[price_data][currency]=eur&x[price_data][unit_amount]=100&\
                x[price_data][product_data][name]=A";
    let items: Vec<String> = (0..101)
        .map(|n| format!("x{item}").replace('x', &format!("line_items[{n}]")))
        .collect();
    let keys: Vec<String> = (0..51).map(|n| format!("metadata[k{n}]=1")).collect();

    let too_many_items = harness
        .post(
            SESSIONS,
            &format!(
                "mode=payment&success_url=https://a.example&{}",
                items.join("&")
            ),
        )
        .await;
    let too_many_keys = harness
        .post(SESSIONS, &format!("{}&{}", session_form(), keys.join("&")))
        .await;

    assert_eq!(
        too_many_items.error()["param"],
        "line_items",
        "{}",
        too_many_items.text
    );
    assert_eq!(
        too_many_keys.error()["param"],
        "metadata",
        "{}",
        too_many_keys.text
    );
}
