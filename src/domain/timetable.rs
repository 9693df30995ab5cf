//! Who or what does the work of a service, and when they have no time.

use std::collections::HashMap;

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

/// When each resource of a service is taken.
#[derive(Debug, Clone)]
pub struct Timetable {
    /// Of each resource, soonest first: no two of its times overlap.
    taken: Vec<Vec<TakenTime>>,
}

impl Timetable {
    /// Of these resources, and of the times of theirs that are taken.
    pub fn new(resources: &[Resource], taken: &[TakenTime]) -> Self {
        let mut by_resource: HashMap<_, Vec<_>> = HashMap::new();
        for time in taken {
            let times = by_resource.entry(time.resource_id).or_default();
            times.push(*time);
        }
        let taken = resources.iter().map(|resource| {
            let mut times = by_resource.remove(&resource.id).unwrap_or_default();
            times.sort_unstable_by_key(|time| time.starts_at);
            times
        });
        Self {
            taken: taken.collect(),
        }
    }

    /// How many resources have the time from `starts_at` until `ends_at` free.
    pub fn count_free(&self, starts_at: DateTime<Utc>, ends_at: DateTime<Utc>) -> usize {
        let is_free = |times: &&Vec<TakenTime>| {
            let next = times.partition_point(|time| time.ends_at <= starts_at);
            times.get(next).is_none_or(|time| time.starts_at >= ends_at)
        };
        self.taken.iter().filter(is_free).count()
    }
}
