//! Layouts that were read before, so that a seat map costs the database only what has been taken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::ids::ShowId;
use crate::domain::seats::Layout;

/// Seats that are remembered, of all shows together: about ten megabytes.
const SEATS_MAX: usize = 100_000;

/// The layouts of shows, by the version that the database told.
#[derive(Default)]
pub struct Layouts(Mutex<HashMap<ShowId, Arc<Layout>>>);

impl Layouts {
    /// The layout of a show, if this version of it is remembered.
    pub fn get(&self, id: ShowId, version: i64) -> Option<Arc<Layout>> {
        let layouts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        layouts
            .get(&id)
            .filter(|layout| layout.version == version)
            .cloned()
    }

    /// Remembers a layout. When too many are remembered, all are forgotten.
    pub fn remember(&self, id: ShowId, layout: Layout) -> Arc<Layout> {
        let layout = Arc::new(layout);
        let mut layouts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = layouts.values().map(|layout| layout.seats.len()).sum();
        if kept.saturating_add(layout.seats.len()) > SEATS_MAX {
            layouts.clear();
        }
        layouts.insert(id, Arc::clone(&layout));
        layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Money;
    use crate::domain::seats::PricedSeat;

    fn layout(version: i64, seats: usize) -> Layout {
        let seat = || PricedSeat {
            label: "A1".to_owned(),
            tier: "regular".to_owned(),
            price: Money::new(1_200, "eur".parse().unwrap()),
            sellable: true,
        };
        Layout {
            version,
            seats: std::iter::repeat_with(seat).take(seats).collect(),
        }
    }

    #[test]
    fn only_the_version_that_was_asked_for_is_remembered() {
        let (layouts, show) = (Layouts::default(), ShowId::new());
        layouts.remember(show, layout(1, 1));

        assert!(layouts.get(show, 1).is_some());
        assert!(layouts.get(show, 2).is_none());
    }

    #[test]
    fn not_more_seats_are_remembered_than_there_is_room_for() {
        let (layouts, small, large) = (Layouts::default(), ShowId::new(), ShowId::new());
        layouts.remember(small, layout(1, 1));
        layouts.remember(large, layout(1, SEATS_MAX));

        assert!(layouts.get(small, 1).is_none());
        assert!(layouts.get(large, 1).is_some());
    }
}
