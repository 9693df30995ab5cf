//! One kind of object: kept in the order of creation, found by id.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// What lists and tables need to know of an object.
pub(super) trait Row {
    fn id(&self) -> &str;
    /// Unix seconds.
    fn created(&self) -> i64;
    /// The object as the API shows it now.
    fn render(&self) -> Value;
}

/// Objects of one kind. Nothing is ever removed, as at Stripe.
#[derive(Debug)]
pub(super) struct Table<T> {
    rows: Vec<T>,
    places: HashMap<String, usize>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            places: HashMap::new(),
        }
    }
}

impl<T: Row> Table<T> {
    pub(super) fn insert(&mut self, row: T) {
        self.places.insert(row.id().to_owned(), self.rows.len());
        self.rows.push(row);
    }

    pub(super) fn get(&self, id: &str) -> Option<&T> {
        self.rows.get(*self.places.get(id)?)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.rows.get_mut(*self.places.get(id)?)
    }

    /// Its number among those of its kind, in the order of creation.
    pub(super) fn place(&self, id: &str) -> Option<usize> {
        self.places.get(id).copied()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.rows.iter()
    }
}

impl<T: Serialize> Serialize for Table<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rows.serialize(serializer)
    }
}

impl<'de, T: Row + Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = Self::default();
        for row in Vec::deserialize(deserializer)? {
            table.insert(row);
        }
        Ok(table)
    }
}
