//! Every route of the description, tried by those who may not. A route that is added is tried by
//! itself: it belongs to an audience, and the audience says who may call it.

use holdfast::routes;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::harness::{Answer, TestApp, send};

pub(crate) const NOBODYS: &str = "0193a000-0000-7000-8000-000000000000";

/// One method of one path, as it is described.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: String,
    description: Value,
}

impl Route {
    pub(crate) fn all() -> Vec<Self> {
        let description = serde_json::to_value(routes::openapi()).unwrap();
        let paths = description["paths"].as_object().unwrap();
        let routes = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(|(method, description)| Self {
                method: Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(),
                path: path.clone(),
                description: description.clone(),
            })
        });
        routes.collect()
    }

    fn of(audience: &str) -> Vec<Self> {
        let mut routes = Self::all();
        routes.retain(|route| route.audience() == audience);
        assert!(!routes.is_empty(), "there is no audience {audience}");
        routes
    }

    pub(crate) fn audience(&self) -> &str {
        self.description["tags"][0].as_str().unwrap()
    }

    fn needs_token(&self) -> bool {
        match self.audience() {
            "customer" | "admin" => true,
            "public" | "webhooks" | "operations" => false,
            other => panic!("may {other} call {self} without a token?"),
        }
    }

    /// Its path, with `id` in the place of every parameter.
    pub(crate) fn path_with(&self, id: &str) -> String {
        let parts = self.path.split('/').map(|part| {
            let is_parameter = part.starts_with('{');
            if is_parameter { id } else { part }
        });
        parts.collect::<Vec<_>>().join("/")
    }

    fn has_parameter(&self) -> bool {
        self.path.contains('{')
    }

    /// Asserts that the answer is this refusal, and that the description names it.
    #[track_caller]
    fn refuses(&self, answer: &Answer, status: u16, code: &str) {
        answer.refused(status, code);
        let described = &self.description["responses"][status.to_string()]["description"];
        let names_it = described.as_str().is_some_and(|text| text.contains(code));
        assert!(
            names_it,
            "{self} does not say that it answers {status} {code}"
        );
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.method, self.path)
    }
}

pub(crate) async fn send_empty(request: RequestBuilder) -> Answer {
    send(
        request
            .header("content-type", "application/json")
            .body("{}"),
    )
    .await
}

#[tokio::test]
async fn without_a_token_that_is_valid_only_the_public_is_served() {
    let harness = TestApp::new().await;
    let nobody = harness.bearer("garbage".to_owned());

    for route in Route::all() {
        for id in [NOBODYS, "no-uuid"] {
            let path = route.path_with(id);
            let method = || route.method.clone();
            let without = send_empty(harness.request(method(), &path)).await;
            let with_garbage = send_empty(nobody.request(method(), &path)).await;

            for answer in [without, with_garbage] {
                if route.needs_token() {
                    route.refuses(&answer, 401, "unauthenticated");
                    assert_eq!(answer.headers["www-authenticate"], "Bearer", "{route}");
                } else {
                    assert!(![401, 403].contains(&answer.status), "{route}: {answer:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_somebody_elses_is_not_found() {
    let harness = TestApp::new().await;
    let eve = harness.customer("eve");

    let routes = Route::of("customer").into_iter();
    for (number, route) in routes.filter(Route::has_parameter).enumerate() {
        // An owner and a show of its own for each route, as it may change the booking.
        let owner = harness.customer(&format!("owner_{number}"));
        let booking = owner.booked(&harness.show().await, &["A2"]).await;
        let path = route.path_with(booking["id"].as_str().unwrap());
        let elsewhere = route.path_with("no-uuid");
        let method = || route.method.clone();

        let foreign = send_empty(eve.request(method(), &path)).await;
        let nothing = send_empty(eve.request(method(), &elsewhere)).await;
        let unchanged = owner.booking(&booking).await;
        let own = send_empty(owner.request(method(), &path)).await;

        route.refuses(&foreign, 404, "not_found");
        route.refuses(&nothing, 404, "not_found");
        assert_eq!(unchanged, booking, "{route}");
        if route.path.starts_with("/api/bookings/{id}") {
            assert!(![401, 403, 404].contains(&own.status), "{route}: {own:?}");
        }
    }
}

#[tokio::test]
async fn what_is_the_admins_is_forbidden_to_users() {
    let harness = TestApp::new().await;
    let (dana, admin) = (harness.customer("dana"), harness.admin());

    for route in Route::of("admin") {
        for id in [NOBODYS, "no-uuid"] {
            let path = route.path_with(id);
            let by_user = send_empty(dana.request(route.method.clone(), &path)).await;
            let by_admin = send_empty(admin.request(route.method.clone(), &path)).await;

            route.refuses(&by_user, 403, "forbidden");
            assert!(
                ![401, 403].contains(&by_admin.status),
                "{route}: {by_admin:?}"
            );
        }
    }
}

#[test]
fn each_route_has_one_audience_which_its_path_shows() {
    for route in Route::all() {
        assert_eq!(
            route.description["tags"].as_array().unwrap().len(),
            1,
            "{route}"
        );
        let is_admins = route.path.starts_with("/api/admin/");
        assert_eq!(route.audience() == "admin", is_admins, "{route}");
    }
}

#[test]
fn the_description_says_who_must_sign_in() {
    for route in Route::all() {
        let schemes: Vec<&str> = route.description["security"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|scheme| scheme.as_object().unwrap().keys().map(String::as_str))
            .collect();
        let expected = if route.needs_token() {
            vec!["bearer", "sessionCookie"]
        } else {
            vec![]
        };
        let says_401 = route.description["responses"].get("401").is_some();
        let says_403 = route.description["responses"].get("403").is_some();

        assert_eq!(schemes, expected, "{route}");
        assert_eq!(says_401, route.needs_token(), "{route}");
        assert!(says_403 || route.audience() != "admin", "{route}");
    }
}

#[test]
fn the_description_shows_every_error_as_a_problem() {
    let problem = serde_json::json!({
        "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } },
    });
    for route in Route::all() {
        for (status, response) in route.description["responses"].as_object().unwrap() {
            let is_named = !response["description"]
                .as_str()
                .unwrap_or_default()
                .is_empty();
            assert!(is_named, "{route} {status}");
            if !status.starts_with('2') {
                assert_eq!(response["content"], problem, "{route} {status}");
            }
        }
    }
}
