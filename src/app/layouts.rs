//! Layouts that were read before, so that a seat map costs the database only what has been taken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::ids::ShowId;
use crate::domain::seats::Layout;

/// Shows whose layout is remembered: the largest has half a megabyte.
const SHOWS_MAX: usize = 200;

/// The layouts of shows, by the version that the database told.
#[derive(Default)]
pub struct Layouts(Mutex<HashMap<ShowId, Arc<Layout>>>);

impl Layouts {
    /// The layout of a show, if this version of it is remembered.
    pub fn get(&self, id: ShowId, version: i64) -> Option<Arc<Layout>> {
        let layouts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        layouts.get(&id).filter(|layout| layout.version == version).cloned()
    }

    /// Remembers a layout. When too many are remembered, all are forgotten.
    pub fn remember(&self, id: ShowId, layout: Layout) -> Arc<Layout> {
        let layout = Arc::new(layout);
        let mut layouts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if layouts.len() >= SHOWS_MAX {
            layouts.clear();
        }
        layouts.insert(id, Arc::clone(&layout));
        layout
    }
}
