//! Headers that every answer has: who may keep it, and that it is what it says.

use reqwest::Method;

use crate::audiences::{NOBODYS, Route, send_empty};
use crate::harness::{Answer, TestApp, send};

fn is_the_callers_alone(answer: &Answer) {
    assert_eq!(answer.headers["cache-control"], "no-store", "{answer:?}");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
}

fn may_be_kept(answer: &Answer) {
    assert_eq!(answer.headers["cache-control"], "public, max-age=1");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn only_what_anyone_may_read_may_be_kept() {
    let harness = TestApp::new().await;
    let (dana, admin) = (harness.customer("dana"), harness.admin());
    let mut kept = Vec::new();

    for route in Route::all() {
        for id in [NOBODYS, "no-uuid"] {
            let path = route.path_with(id);
            for answer in [
                send_empty(harness.request(route.method.clone(), &path)).await,
                send_empty(dana.request(route.method.clone(), &path)).await,
                send_empty(admin.request(route.method.clone(), &path)).await,
            ] {
                if route.audience() == "public" && answer.status == 200 {
                    may_be_kept(&answer);
                    kept.push(path.clone());
                } else {
                    is_the_callers_alone(&answer);
                }
            }
        }
    }

    kept.dedup();
    assert_eq!(kept, ["/api/movies", "/api/services", "/api/shows"]);
}

#[tokio::test]
async fn what_is_read_of_one_show_or_service_may_be_kept_too() {
    let harness = TestApp::new().await;
    let show = harness.show().await;

    for path in [
        format!("/api/shows/{show}"),
        format!("/api/shows/{show}/seats"),
    ] {
        let got = harness.get(&path).await;
        let head = send(harness.request(Method::HEAD, &path)).await;

        for answer in [got, head] {
            assert_eq!(answer.status, 200);
            may_be_kept(&answer);
        }
    }
}

#[tokio::test]
async fn what_no_route_has_made_is_the_callers_alone_too() {
    let harness = TestApp::new().await;
    let preflight = harness
        .request(Method::OPTIONS, "/api/bookings")
        .header("origin", crate::harness::ORIGIN)
        .header("access-control-request-method", "POST");

    is_the_callers_alone(&harness.get("/api/nothing").await);
    is_the_callers_alone(&send(harness.request(Method::PUT, "/api/shows")).await);
    is_the_callers_alone(&send(preflight).await);
    is_the_callers_alone(&harness.send_raw(b"garbage\r\n\r\n").await);
}
