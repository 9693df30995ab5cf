//! `line_items` of a new session: what is sold, priced by the server through `price_data`.

use super::checkout_session::LineItem;
use super::currency;
use super::ids;
use super::parameters::Parameters;
use super::refusal::Refusal;

const LINE_ITEMS_MAX: usize = 100;

/// Reads one to a hundred line items.
pub(super) fn read(parameters: &mut Parameters) -> Result<Vec<LineItem>, Refusal> {
    let elements = parameters.list("line_items")?.unwrap_or_default();
    if elements.is_empty() {
        return Err(Refusal::missing("line_items"));
    }
    if elements.len() > LINE_ITEMS_MAX {
        return Err(Refusal::invalid(
            "line_items",
            format!("A Checkout Session can have at most {LINE_ITEMS_MAX} line items."),
        ));
    }
    elements.into_iter().map(line_item).collect()
}

fn line_item(mut element: Parameters) -> Result<LineItem, Refusal> {
    element.ignore(&["adjustable_quantity", "tax_rates"]);
    let metadata = element.metadata("metadata")?.into_metadata()?;
    let quantity = quantity(&mut element)?;
    if let Some(price) = element.text("price")? {
        return Err(Refusal::no_such("price", &price, &element.name("price")));
    }
    let param = element.name("price_data");
    let mut price = element
        .nested("price_data")?
        .ok_or_else(|| Refusal::missing(&param))?;
    element.finish()?;
    let code = price.required("currency")?;
    let currency = currency::parse(&price.name("currency"), &code)?;
    let unit_amount = unit_amount(&mut price, &currency)?;
    price.ignore(&["tax_behavior"]);
    if price.has("recurring") {
        return Err(Refusal::invalid(
            price.name("recurring"),
            "You specified `payment` mode but passed a recurring price.",
        ));
    }
    let (name, details) = product(&mut price)?;
    price.finish()?;
    Ok(LineItem {
        id: ids::object_id("li"),
        price: ids::object_id("price"),
        product: ids::object_id("prod"),
        name,
        details,
        currency,
        unit_amount,
        quantity,
        metadata,
    })
}

fn quantity(element: &mut Parameters) -> Result<i64, Refusal> {
    let param = element.name("quantity");
    match element.integer("quantity")? {
        None => Err(Refusal::missing(&param)),
        Some(quantity) if quantity < 1 => Err(Refusal::invalid(
            param,
            "This value must be greater than or equal to 1.",
        )
        .code("parameter_invalid_integer")),
        Some(quantity) => Ok(quantity),
    }
}

/// `unit_amount`, or `unit_amount_decimal` with a whole number in it.
fn unit_amount(price: &mut Parameters, currency: &str) -> Result<i64, Refusal> {
    let whole = price.integer("unit_amount")?;
    let decimal = price.integer("unit_amount_decimal")?;
    let param = price.name("unit_amount");
    let amount = match (whole, decimal) {
        (Some(amount), None) | (None, Some(amount)) => amount,
        (None, None) => return Err(Refusal::missing(&param)),
        (Some(_), Some(_)) => {
            return Err(Refusal::invalid(
                param,
                "You may only specify one of these parameters: unit_amount, unit_amount_decimal.",
            ));
        }
    };
    currency::check_unit(&param, currency, amount)?;
    Ok(amount)
}

/// The name and the optional description of what is sold.
fn product(price: &mut Parameters) -> Result<(String, Option<String>), Refusal> {
    if let Some(product) = price.text("product")? {
        return Err(Refusal::no_such(
            "product",
            &product,
            &price.name("product"),
        ));
    }
    let param = price.name("product_data");
    let mut data = price
        .nested("product_data")?
        .ok_or_else(|| Refusal::missing(&param))?;
    let name = data.required("name")?;
    let details = data.text("description")?;
    data.metadata("metadata")?.into_metadata()?;
    data.ignore(&["images", "tax_code", "tax_details", "unit_label"]);
    data.finish()?;
    Ok((name, details))
}
