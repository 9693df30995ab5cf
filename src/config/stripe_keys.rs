//! What Stripe's keys and secrets look like.

/// `test` or `live`, if `key` is one of `kinds`, such as `sk_test_…`.
pub(super) fn mode_of(key: &str, kinds: &[&str]) -> Option<&'static str> {
    let mut parts = key.splitn(3, '_');
    let known = kinds.contains(&parts.next()?);
    let mode = match parts.next()? {
        "test" => "test",
        "live" => "live",
        _ => return None,
    };
    let filled = parts.next().is_some_and(|rest| !rest.is_empty());
    (known && filled).then_some(mode)
}

/// Whether a secret key moves real money.
pub(super) fn is_live(secret_key: &str) -> bool {
    mode_of(secret_key, &["sk", "rk"]) == Some("live")
}

/// Which other variable a Stripe value belongs to.
pub(super) fn misplaced(value: &str) -> Option<&'static str> {
    let belongs = [
        ("sk_", "an sk_… value belongs in STRIPE_SECRET_KEY"),
        ("rk_", "an rk_… value belongs in STRIPE_SECRET_KEY"),
        ("pk_", "a pk_… value belongs in STRIPE_PUBLISHABLE_KEY"),
        ("whsec_", "a whsec_… value belongs in STRIPE_WEBHOOK_SECRET"),
    ];
    belongs
        .into_iter()
        .find(|(start, _)| value.starts_with(start))
        .map(|(_, hint)| hint)
}
