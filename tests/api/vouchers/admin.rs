//! What admins make of vouchers.

use serde_json::{Value, json};

use super::VOUCHERS;
use crate::harness::{Answer, Caller, TestApp};

async fn change(caller: &Caller<'_>, voucher: &Value, change: Value) -> Answer {
    let path = format!("{VOUCHERS}/{}", voucher["id"].as_str().unwrap());
    caller.patch(&path, change).await
}

#[tokio::test]
async fn a_voucher_is_made_listed_and_found() {
    let harness = TestApp::new().await;
    let admin = harness.admin();
    let until = "2026-12-31T23:00:00Z";
    let one = json!({ "code": "ONE", "percentOff": 10, "maxUses": 1, "validUntil": until });
    let amount = json!({ "amountMinor": 500, "currency": "eur" });

    let one = admin.post(VOUCHERS, one).await;
    let two = admin
        .post(VOUCHERS, json!({ "code": "Two", "amountOff": amount }))
        .await;

    assert_eq!((one.status, two.status), (201, 201), "{one:?} {two:?}");
    let id = one.body["id"].as_str().unwrap();
    assert_eq!(one.headers["location"], format!("{VOUCHERS}/{id}"));
    let expected = json!({
        "id": id, "code": "ONE", "percentOff": 10, "amountOff": null, "maxUses": 1, "used": 0,
        "validFrom": null, "validUntil": until, "active": true,
    });
    assert_eq!(one.body, expected);
    assert_eq!(two.body["amountOff"], amount);
    assert_eq!(two.body["percentOff"], Value::Null);
    assert_eq!(two.body["maxUses"], Value::Null);
    assert_eq!(admin.get(&format!("{VOUCHERS}/{id}")).await.body, one.body);
    let first = admin.get(&format!("{VOUCHERS}?limit=1")).await.body;
    assert_eq!(first["items"], json!([two.body]));
    let cursor = first["nextCursor"].as_str().unwrap();
    let last = format!("{VOUCHERS}?limit=1&cursor={cursor}");
    let last = admin.get(&last).await.body;
    assert_eq!(last, json!({ "items": [one.body], "nextCursor": null }));
}

#[tokio::test]
async fn what_is_wrong_with_a_voucher_is_named() {
    let harness = TestApp::new().await;
    let amount = |minor: i64| json!({ "amountMinor": minor, "currency": "eur" });
    let taken = json!({ "code": "ONE", "percentOff": 10 });
    assert_eq!(harness.admin().post(VOUCHERS, taken).await.status, 201);

    for (own, field) in [
        (json!({ "code": "one" }), "code"),
        (json!({ "code": "" }), "code"),
        (json!({ "code": "T W O" }), "code"),
        (json!({ "code": "x".repeat(65) }), "code"),
        (json!({ "percentOff": 0 }), "percentOff"),
        (json!({ "percentOff": 101 }), "percentOff"),
        (json!({ "percentOff": null }), "percentOff"),
        (json!({ "amountOff": amount(100) }), "amountOff"),
        (
            json!({ "percentOff": null, "amountOff": amount(0) }),
            "amountOff.amountMinor",
        ),
        (
            json!({ "percentOff": null, "amountOff": amount(-1) }),
            "amountOff.amountMinor",
        ),
        (json!({ "maxUses": 0 }), "maxUses"),
        (json!({ "maxUses": 100_001 }), "maxUses"),
        (
            json!({ "validFrom": "2026-12-01T00:00:00Z", "validUntil": "2026-12-01T00:00:00Z" }),
            "validUntil",
        ),
        (json!({ "uses": 1 }), "uses"),
    ] {
        let mut voucher = json!({ "code": "TWO", "percentOff": 10 });
        for (name, value) in own.as_object().unwrap() {
            voucher[name] = value.clone();
        }
        let answer = harness.admin().post(VOUCHERS, voucher).await;

        answer.refused(422, "validation_failed");
        assert_eq!(answer.body["errors"][0]["field"], field, "{own}");
    }
    assert_eq!(harness.sql("select count(*) from vouchers").await, "1");
}

#[tokio::test]
async fn what_is_given_changes_and_the_rest_stays() {
    let harness = TestApp::new().await;
    let admin = harness.admin();
    let until = "2026-12-31T23:00:00Z";
    let voucher = harness.voucher_with(json!({ "validUntil": until })).await;
    let amount = json!({ "amountMinor": 500, "currency": "eur" });

    let more = change(&admin, &voucher, json!({ "maxUses": 5 })).await;
    let other = change(&admin, &voucher, json!({ "amountOff": amount })).await;
    let open = json!({ "maxUses": null, "validUntil": null, "code": "NOW", "active": false });
    let open = change(&admin, &voucher, open).await;

    assert_eq!(more.status, 200, "{more:?}");
    assert_eq!(more.body["maxUses"], 5);
    assert_eq!(more.body["validUntil"], until);
    assert_eq!(other.body["amountOff"], amount);
    assert_eq!(other.body["percentOff"], Value::Null);
    let expected = json!({
        "id": voucher["id"], "code": "NOW", "percentOff": null, "amountOff": amount,
        "maxUses": null, "used": 0, "validFrom": null, "validUntil": null, "active": false,
    });
    assert_eq!(open.body, expected);
    let found = admin.get(VOUCHERS).await.body;
    assert_eq!(found["items"], json!([expected]));
}

#[tokio::test]
async fn a_change_that_cannot_be_is_refused_and_changes_nothing() {
    let harness = TestApp::new().await;
    let admin = harness.admin();
    let show = harness.show().await;
    let voucher = harness.voucher_with(json!({ "maxUses": 3 })).await;
    let other = harness.voucher_with(json!({ "code": "TWO" })).await;
    for (name, seat) in [("dana", "A2"), ("emil", "A3")] {
        let booked = harness
            .customer(name)
            .book_with(&show, &[seat], "ONE")
            .await;
        assert_eq!(booked.status, 201, "{booked:?}");
    }
    let amount = json!({ "amountMinor": 500, "currency": "eur" });

    for (wrong, field) in [
        (json!({ "maxUses": 1 }), "maxUses"),
        (json!({ "code": "two" }), "code"),
        (json!({ "percentOff": 0 }), "percentOff"),
        (json!({ "percentOff": 1, "amountOff": amount }), "amountOff"),
        (json!({ "used": 0 }), "used"),
    ] {
        let answer = change(&admin, &voucher, wrong).await;
        answer.refused(422, "validation_failed");
        assert_eq!(answer.body["errors"][0]["field"], field);
    }
    let unknown = json!({ "id": "0193b2a0-0000-7000-8000-000000000000" });
    change(&admin, &unknown, json!({}))
        .await
        .refused(404, "not_found");

    let listed = admin.get(VOUCHERS).await.body;
    let mut used = voucher;
    used["used"] = json!(2);
    assert_eq!(listed["items"], json!([other, used]));
    let allowed = change(&admin, &used, json!({ "maxUses": 2 })).await;
    assert_eq!(allowed.status, 200, "{allowed:?}");
}

#[tokio::test]
async fn vouchers_are_for_admins_and_what_they_do_is_logged() {
    let harness = TestApp::new().await;
    let (admin, dana) = (harness.admin(), harness.customer("dana"));
    let body = json!({ "code": "ONE", "percentOff": 10 });

    let made = admin.post_keyed(VOUCHERS, body.clone(), "k").await;
    let again = admin.post_keyed(VOUCHERS, body.clone(), "k").await;
    change(&admin, &made.body, json!({ "maxUses": 5 })).await;

    assert_eq!(made.body, again.body);
    let id = made.body["id"].as_str().unwrap();
    for refused in [
        dana.post(VOUCHERS, body).await,
        dana.get(VOUCHERS).await,
        dana.get(&format!("{VOUCHERS}/{id}")).await,
        change(&dana, &made.body, json!({})).await,
    ] {
        refused.refused(403, "forbidden");
    }
    let logged = format!("/api/admin/audit?subject={id}");
    let logged = admin.get(&logged).await.body;
    let actions = logged["items"].as_array().unwrap().iter();
    let actions: Vec<_> = actions.map(|entry| entry["action"].clone()).collect();
    assert_eq!(actions, ["changeVoucher", "createVoucher"]);
}
