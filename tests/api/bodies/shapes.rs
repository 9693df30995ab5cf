//! A body of another shape than the contract's names the field that is wrong.

use serde_json::json;

use super::{BOOKINGS, MOVIES, SHOWS, post};
use crate::harness::TestApp;

/// Each of these bodies must be refused for this field.
async fn refused<const N: usize>(path: &str, cases: [(&str, &str); N]) {
    let harness = TestApp::new().await;

    for (body, field) in cases {
        let answer = post(&harness, path, body.to_owned()).await;

        answer.refused(422, "validation_failed");
        assert_eq!(answer.fields(), [field], "{body}");
    }
}

#[tokio::test]
async fn a_movie_of_another_shape_names_its_field() {
    let cases = [
        ("null", ""),
        (r#"["x",null,null,null,[],null]"#, ""),
        (r#""title""#, ""),
        ("{}", "title"),
        (r#"{"title":null}"#, "title"),
        (r#"{"title":7}"#, "title"),
        (r#"{"title":"x","titel":"y"}"#, "titel"),
        (r#"{"title":"x","title":"y"}"#, "title"),
        (r#"{"title":"x","runtimeMinutes":"90"}"#, "runtimeMinutes"),
        (r#"{"title":"x","runtimeMinutes":90.5}"#, "runtimeMinutes"),
        (
            r#"{"title":"x","runtimeMinutes":99999999999999999999999}"#,
            "runtimeMinutes",
        ),
        (r#"{"title":"x","releaseDate":"yesterday"}"#, "releaseDate"),
        (r#"{"title":"x","genres":["a",2]}"#, "genres[1]"),
    ];

    refused(MOVIES, cases).await;
}

#[tokio::test]
async fn a_show_of_another_shape_names_its_field() {
    let cases = [
        (r#"{"movieId":"no uuid"}"#, "movieId"),
        (r#"{"startsAt":"2026-12-24"}"#, "startsAt"),
        (r#"{"tiers":[{"name":"a","price":12}]}"#, "tiers[0].price"),
        (
            r#"{"tiers":[{"name":"a","price":{"amountMinor":"12","currency":"eur"}}]}"#,
            "tiers[0].price.amountMinor",
        ),
        (
            r#"{"tiers":[{"name":"a","price":{"amountMinor":12.5,"currency":"eur"}}]}"#,
            "tiers[0].price.amountMinor",
        ),
        (
            r#"{"tiers":[{"name":"a","price":{"amountMinor":12,"currency":"EUR"}}]}"#,
            "tiers[0].price.currency",
        ),
        (
            r#"{"tiers":[{"name":"a","price":{"amountMinor":12,"currency":"eur","tax":1}}]}"#,
            "tiers[0].price.tax",
        ),
        (
            r#"{"tiers":[{"name":"a","price":{"amountMinor":12}}]}"#,
            "tiers[0].price.currency",
        ),
        (
            r#"{"rows":[{"row":"A","seats":-1,"tier":"a"}]}"#,
            "rows[0].seats",
        ),
        (
            r#"{"cancellationPolicy":[{"hoursBefore":1,"refundPercent":256}]}"#,
            "cancellationPolicy[0].refundPercent",
        ),
    ];

    refused(SHOWS, cases).await;
}

#[tokio::test]
async fn a_booking_of_another_shape_names_its_field() {
    let cases = [
        (
            r#"{"showId":"0193a000-0000-7000-8000-000000000000","seats":["A2"]}"#,
            "kind",
        ),
        (r#"{"kind":"show","seats":["A2"]}"#, "showId"),
        (r#"{"kind":"show","showId":"1","seats":["A2"]}"#, "showId"),
        (r#"{"kind":"show","seats":"A2"}"#, "seats"),
        (r#"{"kind":"show","seats":[2]}"#, "seats[0]"),
        (
            r#"{"kind":"show","showId":"0193a000-0000-7000-8000-000000000000","seats":[]}"#,
            "seats",
        ),
        (
            r#"{"kind":"show","showId":"0193a000-0000-7000-8000-000000000000",
                "seats":["A2","A2"]}"#,
            "seats",
        ),
        (r#"{"kind":"opera"}"#, "kind"),
        (r#"{"kind":"show","paymentOption":"none"}"#, "paymentOption"),
        (r#"{"kind":"show","paymentString":"x"}"#, "paymentString"),
        (r#"{"kind":"show","ui":"popup"}"#, "ui"),
    ];

    refused(BOOKINGS, cases).await;
}

#[tokio::test]
async fn a_year_without_four_digits_is_refused() {
    let harness = TestApp::new().await;
    let admin = harness.admin();
    let show = |starts_at: &str| {
        json!({
            "title": "Metropolis", "startsAt": starts_at, "timezone": "Europe/Berlin",
            "tiers": [{ "name": "a", "price": { "amountMinor": 1200, "currency": "eur" } }],
            "rows": [{ "row": "A", "seats": 1, "tier": "a" }],
        })
    };

    for (answer, field) in [
        (
            harness.get("/api/shows?from=-200000-01-01T00:00:00Z").await,
            "from",
        ),
        (
            harness.get("/api/shows?to=%2B200000-01-01T00:00:00Z").await,
            "to",
        ),
        (
            admin.post(SHOWS, show("+262142-12-31T23:59:59Z")).await,
            "startsAt",
        ),
        (
            admin
                .post(
                    MOVIES,
                    json!({ "title": "x", "releaseDate": "-200000-01-01" }),
                )
                .await,
            "releaseDate",
        ),
    ] {
        answer.refused(422, "validation_failed");
        assert_eq!(answer.fields(), [field]);
    }
}
