//! Who may import whom: arrows go down from layer to layer, and siblings do not know each other.

use super::source::{check_sources, check_tree, module_of, paths};

/// Each layer and the layers it may use. The order is the proof that there are no cycles: a layer
/// may name only layers that come after it.
const LAYERS: &[(&str, &[&str])] = &[
    ("main", &["commands", "error"]),
    (
        "commands",
        &[
            "dev",
            "routes",
            "jobs",
            "workflows",
            "app",
            "repositories",
            "error",
            "config",
            "telemetry",
        ],
    ),
    ("dev", &[]),
    ("routes", &["controllers", "http", "app"]),
    (
        "controllers",
        &[
            "http",
            "workflows",
            "settlement",
            "app",
            "repositories",
            "gateways",
            "connection",
            "error",
            "domain",
        ],
    ),
    (
        "http",
        &["app", "repositories", "connection", "error", "domain"],
    ),
    (
        "jobs",
        &[
            "workflows",
            "settlement",
            "app",
            "repositories",
            "gateways",
            "connection",
            "error",
            "domain",
        ],
    ),
    (
        "workflows",
        &[
            "settlement",
            "app",
            "repositories",
            "gateways",
            "connection",
            "error",
            "config",
            "domain",
        ],
    ),
    (
        "settlement",
        &[
            "app",
            "repositories",
            "gateways",
            "connection",
            "error",
            "domain",
        ],
    ),
    (
        "app",
        &[
            "repositories",
            "gateways",
            "connection",
            "error",
            "config",
            "domain",
        ],
    ),
    ("repositories", &["connection", "error", "domain"]),
    ("gateways", &["error", "config", "domain"]),
    ("error", &["connection", "domain"]),
    ("connection", &[]),
    ("telemetry", &["config"]),
    ("config", &["domain"]),
    ("domain", &[]),
];

/// Layers whose members are independent: two endpoints, two tables, two workflows never meet.
const INDEPENDENT: &[&str] = &["controllers", "workflows", "repositories", "gateways"];

#[test]
fn the_layers_have_no_cycles() {
    for (index, (layer, uses)) in LAYERS.iter().enumerate() {
        for used in *uses {
            let position = LAYERS.iter().position(|(name, _)| name == used);
            assert!(
                position.is_some_and(|position| position > index),
                "{layer} -> {used}"
            );
        }
    }
}

#[test]
fn modules_import_only_what_their_layer_allows() {
    check_tree(&["src"], wrong_imports);
}

#[test]
fn a_wrong_import_is_reported() {
    let wrong = [
        (
            "src/domain/booking.rs",
            "use crate::repositories::bookings;",
        ),
        (
            "src/domain/booking.rs",
            "use crate::{\n    app::App,\n    domain::money,\n};",
        ),
        (
            "src/repositories/bookings.rs",
            "fn f() { crate::http::problem::new() }",
        ),
        (
            "src/routes/public.rs",
            "use crate::repositories::{movies, shows};",
        ),
        ("src/dev/identity/mod.rs", "use crate::config::Secret;"),
        ("src/workflows/checkout.rs", "use crate::dev::simulator;"),
        (
            "src/commands/serve.rs",
            "use holdfast::{app::{App, Clock}, domain::money};",
        ),
        ("src/main.rs", "use holdfast::routes;"),
        ("src/app.rs", "use super::routes;"),
        (
            "src/settlement/execute.rs",
            "use crate::workflows::refunding;",
        ),
        ("src/plumbing/pipe.rs", "fn f() {}"),
    ];
    for (file, source) in wrong {
        assert_ne!(
            wrong_imports(file, source),
            Vec::<String>::new(),
            "{file}: {source}"
        );
    }
}

#[test]
fn a_right_import_is_not_reported() {
    let right = [
        (
            "src/commands/serve.rs",
            "use holdfast::{app::{App, Clock}, routes};\nuse super::Failure;",
        ),
        (
            "src/controllers/bookings.rs",
            "use crate::domain::money;\n// use crate::routes;\n/// See crate::routes.",
        ),
        (
            "src/domain/booking.rs",
            "use super::money::Money;\nmod tests { use super::*; }",
        ),
        (
            "src/workflows/release.rs",
            "use crate::settlement::execute;",
        ),
        (
            "src/settlement/execute.rs",
            "use crate::{app::App, repositories::payments};",
        ),
        ("src/config/check.rs", "use super::{Config, Secret};"),
        ("src/lib.rs", "pub mod app;"),
    ];
    check_sources(right, wrong_imports);
}

fn wrong_imports(file: &str, source: &str) -> Vec<String> {
    let module = module_of(file);
    let Some(layer) = module.first().filter(|layer| *layer != "lib") else {
        return Vec::new();
    };
    let Some((_, uses)) = LAYERS.iter().find(|(name, _)| name == layer) else {
        return vec![format!("{file}: {layer} is no layer")];
    };
    let layers = paths(&module, source)
        .into_iter()
        .filter_map(|path| path.into_iter().next());
    let named = layers.filter(|used| LAYERS.iter().any(|(name, _)| name == used));
    let wrong = named.filter(|used| used != layer && !uses.contains(&used.as_str()));
    wrong
        .map(|used| format!("{file}: {layer} must not use {used}"))
        .collect()
}

#[test]
fn independent_siblings_do_not_import_each_other() {
    check_tree(&["src"], sibling_imports);
}

#[test]
fn an_import_of_a_sibling_is_reported() {
    let wrong = [
        ("src/repositories/bookings.rs", "use super::shows;"),
        (
            "src/repositories/bookings.rs",
            "use super::{shows::Filter};",
        ),
        (
            "src/controllers/bookings.rs",
            "use crate::controllers::catalogue::ShowView;",
        ),
        (
            "src/workflows/checkout.rs",
            "use crate::{app::App, workflows::{release}};",
        ),
        (
            "src/gateways/stripe/client.rs",
            "use super::super::identity::Keys;",
        ),
    ];
    for (file, source) in wrong {
        assert_eq!(sibling_imports(file, source).len(), 1, "{file}: {source}");
    }
    let right = [
        (
            "src/gateways/stripe/client.rs",
            "use super::webhook::APP;\nuse crate::gateways::stripe::Probe;",
        ),
        (
            "src/workflows/checkout.rs",
            "use crate::repositories::{attempts, bookings};",
        ),
        ("src/domain/booking.rs", "use super::money::Money;"),
        ("src/repositories/mod.rs", "use self::bookings::Filter;"),
    ];
    check_sources(right, sibling_imports);
}

fn sibling_imports(file: &str, source: &str) -> Vec<String> {
    let module = module_of(file);
    let [layer, own, ..] = module.as_slice() else {
        return Vec::new();
    };
    if !INDEPENDENT.contains(&layer.as_str()) {
        return Vec::new();
    }
    let is_module = |name: &str| name.starts_with(|first: char| first.is_ascii_lowercase());
    let others = paths(&module, source)
        .into_iter()
        .filter_map(|path| match path.as_slice() {
            [of, name, ..] if of == layer && name != own && is_module(name) => Some(name.clone()),
            _ => None,
        });
    others
        .map(|name| format!("{file} must not know {layer}::{name}"))
        .collect()
}
