//! Bookings that are looked at.

use std::collections::HashMap;
use std::sync::Weak;

use futures_util::future::BoxFuture;

use crate::app::{App, BatchHandler, Batched};
use crate::domain::booking::BookingDetails;
use crate::domain::ids::BookingId;
use crate::error::Result;
use crate::repositories::bookings;

/// Reads the bookings that are looked at in the same moment. One round trip.
pub(super) struct ReadBookings(pub(super) Weak<App>);

impl BatchHandler for ReadBookings {
    type Request = BookingId;
    type Answer = Option<BookingDetails>;

    fn handle<'a>(
        &'a self,
        batch: &'a [Batched<BookingId>],
    ) -> BoxFuture<'a, Result<Vec<Result<Self::Answer>>>> {
        Box::pin(async {
            let app = App::upgrade(&self.0)?;
            let ids: Vec<_> = batch.iter().map(|batched| batched.request).collect();
            let found = bookings::find_all(&mut app.acquire().await?, &ids).await?;
            let found: HashMap<_, _> = found
                .into_iter()
                .map(|details| (details.booking.id, details))
                .collect();
            Ok(ids.iter().map(|id| Ok(found.get(id).cloned())).collect())
        })
    }
}
