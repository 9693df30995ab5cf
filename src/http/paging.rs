//! Lists that come page by page: `?limit=` and `?cursor=` in, `items` and `nextCursor` out.

use serde::Serialize;

use crate::domain::refusal::Refusal;

/// The longest page.
const LIMIT_MAX: i64 = 100;
/// The page of a caller who names no limit.
const LIMIT_DEFAULT: i64 = 50;

/// One page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// What to give as `cursor` for the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// How many items a caller wants.
#[derive(Debug, Clone, Copy)]
pub struct Limit(i64);

impl Limit {
    /// Refuses with `validation_failed` what is not 1 to 100.
    pub fn of(limit: Option<i64>) -> Result<Self, Refusal> {
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        if (1..=LIMIT_MAX).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(Refusal::field(
                "limit",
                format!("must be between 1 and {LIMIT_MAX}"),
            ))
        }
    }

    /// How many rows to fetch: one more than the page, so that it is known whether there is a next
    /// one.
    pub fn fetch(self) -> i64 {
        self.0.saturating_add(1)
    }

    /// The page of `rows`, fetched as [`Limit::fetch`] says; `cursor` names a row for the next
    /// request.
    pub fn page<T>(self, mut rows: Vec<T>, cursor: impl Fn(&T) -> String) -> Page<T> {
        let limit = usize::try_from(self.0).unwrap_or_default();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(cursor);
        Page {
            items: rows,
            next_cursor,
        }
    }
}

impl<T> Page<T> {
    /// The same page with each item as it is shown.
    pub fn map<V>(self, view: impl FnMut(T) -> V) -> Page<V> {
        Page {
            items: self.items.into_iter().map(view).collect(),
            next_cursor: self.next_cursor,
        }
    }
}

/// The place in the list that a cursor names. Refuses one that no page has given.
pub fn read_cursor<T>(
    cursor: Option<&str>,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Refusal> {
    let refusal = || Refusal::field("cursor", "must be the nextCursor of the page before");
    cursor
        .map(|text| read(text).ok_or_else(refusal))
        .transpose()
}
