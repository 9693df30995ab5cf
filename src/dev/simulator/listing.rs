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

    /// The page of those of `rows`, which come newest first, that are wanted. The object that the
    /// page begins or ends at need not be one of them: it may have been when it was listed.
    pub(super) fn of<T: Row>(
        &self,
        rows: &[&T],
        wanted: impl Fn(&T) -> bool,
        url: &str,
    ) -> Result<Value, Refusal> {
        let place = |id: &str, param: &str| {
            rows.iter()
                .position(|row| row.id() == id)
                .ok_or_else(|| Refusal::no_such("object", id, param))
        };
        let range = match (&self.ending_before, &self.starting_after) {
            (Some(id), _) => 0..place(id, "ending_before")?,
            (None, Some(id)) => place(id, "starting_after")?.saturating_add(1)..rows.len(),
            (None, None) => 0..rows.len(),
        };
        let rows = rows.get(range).unwrap_or_default().iter();
        let rows: Vec<_> = rows.filter(|row| wanted(row)).collect();
        let more = rows.len() > self.limit;
        let skipped = if self.ending_before.is_some() {
            rows.len().saturating_sub(self.limit)
        } else {
            0
        };
        let page = rows.into_iter().skip(skipped).take(self.limit);
        let data: Vec<Value> = page.map(|row| row.render()).collect();
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
