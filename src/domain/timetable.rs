//! Who or what does the work of a service, and when they have no time.

use chrono::{DateTime, Utc};

use super::booking::ResourceId;

/// Who or what does the work of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub(crate) id: ResourceId,
    pub(crate) name: String,
}

/// Some time of a resource that is taken, with what has to lie after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenTime {
    pub(crate) resource_id: ResourceId,
    pub(crate) starts_at: DateTime<Utc>,
    /// The first instant that is free again.
    pub(crate) ends_at: DateTime<Utc>,
}

/// The resources of a service, and what is taken of their time.
#[derive(Debug, Clone, Copy)]
pub struct Timetable<'a> {
    pub(crate) resources: &'a [Resource],
    pub(crate) taken: &'a [TakenTime],
}

impl Timetable<'_> {
    /// How many resources have the time from `starts_at` until `ends_at` free.
    pub fn count_free(&self, starts_at: DateTime<Utc>, ends_at: DateTime<Utc>) -> usize {
        let is_free = |resource: &&Resource| {
            let overlaps = |time: &TakenTime| {
                time.resource_id == resource.id
                    && time.starts_at < ends_at
                    && starts_at < time.ends_at
            };
            !self.taken.iter().any(overlaps)
        };
        self.resources.iter().filter(is_free).count()
    }
}
