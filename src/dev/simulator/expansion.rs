//! `expand[]`: puts objects where their ids stand
//! (<https://docs.stripe.com/api/expanding_objects>).

use serde_json::Value;

use super::account::Account;
use super::refusal::Refusal;
use super::table::Row;

/// Expands `paths` in an object that its route has rendered, such as
/// `payment_intent.latest_charge`, or `data.payment_intent` in a list.
pub(super) fn expand(
    account: &Account,
    object: &mut Value,
    paths: &[String],
) -> Result<(), Refusal> {
    paths.iter().try_for_each(|path| {
        let steps: Vec<&str> = path.split('.').collect();
        step(account, object, &steps).map_err(|name| {
            Refusal::invalid(
                "expand",
                format!("This property cannot be expanded ({name})."),
            )
            .executed()
        })
    })
}

fn step<'path>(
    account: &Account,
    object: &mut Value,
    steps: &[&'path str],
) -> Result<(), &'path str> {
    let Some((name, rest)) = steps.split_first() else {
        return Ok(());
    };
    let Value::Object(fields) = object else {
        return Err(name);
    };
    if *name == "line_items"
        && let Some(items) = fields
            .get("id")
            .and_then(Value::as_str)
            .and_then(|id| line_items(account, id))
    {
        fields.insert("line_items".into(), items);
    }
    match fields.get_mut(*name) {
        None => Err(name),
        Some(Value::Null) => Ok(()),
        Some(Value::Array(elements)) => elements
            .iter_mut()
            .try_for_each(|element| step(account, element, rest)),
        Some(field) => {
            if let Some(id) = field.as_str() {
                *field = account.render(id).ok_or(*name)?;
            }
            step(account, field, rest)
        }
    }
}

/// The line items of a session as the list that the API shows.
pub(super) fn line_items(account: &Account, session: &str) -> Option<Value> {
    let items = &account.sessions.get(session)?.line_items;
    let data: Vec<Value> = items.iter().map(Row::render).collect();
    Some(serde_json::json!({
        "object": "list", "has_more": false, "data": data,
        "url": format!("/v1/checkout/sessions/{session}/line_items"),
    }))
}
