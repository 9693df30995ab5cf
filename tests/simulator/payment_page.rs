//! The payment page in a browser: what it shows, and where it sends the buyer.

use reqwest::Method;
use serde_json::json;

use super::harness::{Harness, Reply, session_form_with, text};

impl Harness {
    async fn submit(&self, session: &str, form: &str) -> Reply {
        let path = format!("/c/pay/{session}");
        self.send(Method::POST, &path, &[], form.to_owned())
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn the_page_shows_what_is_bought() {
    let harness = Harness::new().await;
    let id = harness.session().await;

    let page = harness.get(&format!("/c/pay/{id}")).await;

    assert_eq!(page.status, 200);
    for part in [
        "€24.00",
        "Stalls &amp; more",
        "Qty 2, €12.00 each",
        ">Book</button>",
        "TEST MODE",
        "It is not Stripe",
        "jenny@example.com",
        "https://shop.example/cancel",
    ] {
        assert!(page.text.contains(part), "{part} is not in {}", page.text);
    }
    assert!(!page.text.contains("{{"), "{}", page.text);
}

/// The browser of a developer who has it open sends what a page of any site tells it to.
#[tokio::test]
async fn no_page_of_another_site_pays() {
    let harness = Harness::new().await;
    let id = harness.session().await;
    let pay = async |path: &str, body: String, headers: &[(&str, &str)]| {
        let sent = harness.send(Method::POST, path, headers, body).await;
        sent.unwrap().status
    };
    let form = || "number=4242424242424242".to_owned();
    let knob = || json!({ "session": id }).to_string();
    let page = format!("/c/pay/{id}");
    let own = harness.simulator.url();
    let json = ("content-type", "application/json");
    let text = ("content-type", "text/plain");

    for origin in ["https://evil.example", "null", "http://localhost:1"] {
        let foreign = ("origin", origin);
        assert_eq!(pay(&page, form(), &[foreign]).await, 403, "{origin}");
        assert_eq!(pay("/_simulator/pay", knob(), &[foreign, json]).await, 403);
        assert_eq!(
            pay("/_simulator/reset", String::new(), &[foreign]).await,
            403
        );
    }
    assert_eq!(pay("/_simulator/pay", knob(), &[text]).await, 415);
    assert_eq!(pay("/_simulator/pay", knob(), &[]).await, 415);
    let rebound = ("host", "evil.example");
    assert_eq!(pay("/_simulator/pay", knob(), &[rebound, json]).await, 421);
    let sessions = harness.look("sessions").await;
    assert_eq!(sessions[0]["paymentStatus"], "unpaid");

    assert_eq!(pay(&page, form(), &[("origin", &own)]).await, 303);
}

#[tokio::test]
async fn the_button_says_how_much_is_paid() {
    let harness = Harness::new().await;
    let created = harness
        .post(
            "/v1/checkout/sessions",
            &session_form_with("submit_type", ""),
        )
        .await
        .json();

    let page = harness
        .get(&format!("/c/pay/{}", text(&created, "id")))
        .await;

    assert!(page.text.contains(">Pay €24.00</button>"), "{}", page.text);
}

#[tokio::test]
async fn a_buyer_who_paid_is_sent_back_after_the_acknowledgement() {
    let harness = Harness::new().await;
    for name in ["number", "card"] {
        let id = harness.session().await;

        let reply = harness
            .submit(&id, &format!("{name}=4242424242424242"))
            .await;

        assert_eq!(reply.status, 303);
        let success = format!("https://shop.example/success?session_id={id}");
        assert_eq!(reply.header("location"), Some(success.as_str()));
        assert_eq!(
            harness.receiver.kinds().last().unwrap(),
            "checkout.session.completed"
        );
    }
}

#[tokio::test]
async fn a_declined_buyer_can_try_again() {
    let harness = Harness::new().await;
    let id = harness.session().await;

    let declined = harness
        .submit(
            &id,
            "email=jo%40example.com&number=4000+0000+0000+9995&name=Jo+%3Cb%3E",
        )
        .await;
    let paid = harness.submit(&id, "number=4242+4242+4242+4242").await;

    assert_eq!(declined.status, 402);
    assert!(
        declined.text.contains("Your card has insufficient funds."),
        "{}",
        declined.text
    );
    assert!(declined.text.contains("Jo &lt;b&gt;"), "{}", declined.text);
    assert!(
        declined.text.contains("value=\"4000 0000 0000 9995\""),
        "{}",
        declined.text
    );
    assert_eq!(paid.status, 303);
}

#[tokio::test]
async fn a_closed_session_shows_why_and_takes_no_money() {
    let harness = Harness::new().await;
    let (paid, _) = harness.paid().await;
    let expired = harness.session().await;
    harness
        .post(&format!("/v1/checkout/sessions/{expired}/expire"), "")
        .await;
    for (id, words) in [
        (paid, "You’re all done here"),
        (expired, "This checkout has expired"),
    ] {
        harness.simulator.settled().await;
        let events = harness.receiver.all().len();

        let seen = harness.get(&format!("/c/pay/{id}")).await;
        let tried = harness.submit(&id, "number=4242424242424242").await;

        assert!(seen.text.contains(words), "{}", seen.text);
        assert!(tried.text.contains(words), "{}", tried.text);
        harness.simulator.settled().await;
        assert_eq!(harness.receiver.all().len(), events);
    }
}

#[tokio::test]
async fn an_unknown_page_is_not_found() {
    let harness = Harness::new().await;

    assert_eq!(harness.get("/c/pay/cs_test_unknown").await.status, 404);
}

#[tokio::test]
async fn a_debit_is_offered_in_euro_and_decided_later() {
    let harness = Harness::new().await;
    let id = harness.session().await;

    let reply = harness
        .submit(&id, "number=DE89+3704+0044+0532+0130+00")
        .await;

    assert_eq!(reply.status, 303);
    let session = harness.retrieve(&id).await;
    assert_eq!(
        session["payment_method_types"],
        json!(["card", "sepa_debit"])
    );
    assert_eq!(session["payment_status"], "unpaid");
}

#[tokio::test]
async fn a_method_that_a_session_leaves_out_is_neither_offered_nor_taken() {
    let harness = Harness::new().await;
    let form = session_form_with("excluded_payment_method_types[0]", "sepa_debit");
    let made = harness.post("/v1/checkout/sessions", &form).await.json();
    let id = text(&made, "id");
    let iban = "DE89370400440532013000";

    let seen = harness.get(&format!("/c/pay/{id}")).await;
    let tried = harness.submit(&id, &format!("number={iban}")).await;
    let knob = json!({ "session": id, "card": iban });
    let turned = harness.turn("pay", knob).await;

    assert_eq!(made["payment_method_types"], json!(["card"]));
    assert!(!seen.text.contains("card or bank debit"), "{}", seen.text);
    assert_eq!((tried.status, turned.status), (402, 400));
    assert_eq!(harness.retrieve(&id).await["status"], "open");
    let bent = json!({ "session": id, "card": iban, "unoffered": true });
    harness.knob("pay", bent).await;
    assert_eq!(harness.retrieve(&id).await["status"], "complete");
}

#[tokio::test]
async fn a_lost_event_does_not_keep_the_buyer_waiting() {
    let harness = Harness::new().await;
    harness.knob("deliveries", json!({ "drop": true })).await;
    let id = harness.session().await;

    let reply = harness.submit(&id, "number=4242424242424242").await;

    assert_eq!(reply.status, 303);
}
