//! Lists: newest first, a page at a time (<https://docs.stripe.com/api/pagination>).

use serde_json::{Value, json};

use super::parameters::Parameters;
use super::refusal::Refusal;
use super::table::Row;

const LIMIT_DEFAULT: usize = 10;
const LIMIT_MAX: i64 = 100;

/// Which page is asked for.
#[derive(Debug)]
pub(super) struct PageRequest {
    limit: usize,
    starting_after: Option<String>,
    ending_before: Option<String>,
}

impl PageRequest {
    pub(super) fn read(parameters: &mut Parameters) -> Result<Self, Refusal> {
        let limit = match parameters.integer("limit")? {
            None => LIMIT_DEFAULT,
            Some(limit) if (1..=LIMIT_MAX).contains(&limit) => {
                usize::try_from(limit).unwrap_or(LIMIT_DEFAULT)
            }
            Some(limit) => {
                return Err(Refusal::invalid(
                    "limit",
                    format!("This value must be between 1 and {LIMIT_MAX}, not {limit}."),
                )
                .code("parameter_invalid_integer"));
            }
        };
        Ok(Self {
            limit,
            starting_after: parameters.text("starting_after")?,
            ending_before: parameters.text("ending_before")?,
        })
    }

    /// The page of `rows`, which come newest first.
    pub(super) fn of<T: Row>(&self, rows: &[&T], url: &str) -> Result<Value, Refusal> {
        let place = |id: &str, param: &str| {
            rows.iter()
                .position(|row| row.id() == id)
                .ok_or_else(|| Refusal::no_such("object", id, param))
        };
        let (start, end) = if let Some(id) = &self.ending_before {
            let end = place(id, "ending_before")?;
            (end.saturating_sub(self.limit), end)
        } else {
            let start = match &self.starting_after {
                Some(id) => place(id, "starting_after")?.saturating_add(1),
                None => 0,
            };
            (start, start.saturating_add(self.limit).min(rows.len()))
        };
        let more = if self.ending_before.is_some() {
            start > 0
        } else {
            end < rows.len()
        };
        let page = rows.get(start..end).unwrap_or_default();
        let data: Vec<Value> = page.iter().map(|row| row.render()).collect();
        Ok(json!({ "object": "list", "url": url, "has_more": more, "data": data }))
    }
}

/// `created=…` or `created[gt|gte|lt|lte]=…`, in Unix seconds.
#[derive(Debug, Default)]
pub(super) struct CreatedRange {
    from: Option<i64>,
    to: Option<i64>,
}

impl CreatedRange {
    pub(super) fn read(parameters: &mut Parameters) -> Result<Self, Refusal> {
        if let Ok(Some(mut range)) = parameters.clone().nested("created") {
            parameters.ignore(&["created"]);
            let after = range.integer("gt")?.map(|second| second.saturating_add(1));
            let before = range.integer("lt")?.map(|second| second.saturating_sub(1));
            let read = Self {
                from: range.integer("gte")?.or(after),
                to: range.integer("lte")?.or(before),
            };
            range.finish()?;
            return Ok(read);
        }
        let exactly = parameters.integer("created")?;
        Ok(Self {
            from: exactly,
            to: exactly,
        })
    }

    pub(super) fn holds(&self, created: i64) -> bool {
        self.from.is_none_or(|from| created >= from) && self.to.is_none_or(|to| created <= to)
    }
}
