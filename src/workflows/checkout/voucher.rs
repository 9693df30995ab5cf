//! The vouchers of those who book: looked up for their quotes, and used with their holds.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::draft::{Draft, Refused};
use crate::connection::Connection;
use crate::domain::booking_request::BookingRequest;
use crate::domain::refusal::Refusal;
use crate::domain::voucher::Voucher;
use crate::error::Result;
use crate::repositories::vouchers::{self, NewRedemption};

/// Those of the vouchers that requests name which there are.
pub(super) struct Named(Vec<Voucher>);

impl Named {
    /// Looks up what these requests name: one round trip, or none where they name nothing.
    pub(super) async fn find(
        db: &mut Connection,
        requests: impl Iterator<Item = &BookingRequest>,
    ) -> Result<Self> {
        let codes: HashSet<_> = requests
            .filter_map(|request| request.voucher.as_deref())
            .map(str::to_ascii_lowercase)
            .collect();
        if codes.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let codes: Vec<_> = codes.into_iter().collect();
        Ok(Self(vouchers::find_by_codes(db, &codes).await?))
    }

    /// The voucher of a request, if it names one. Refuses with `voucher_invalid` if there is none
    /// that is called so.
    pub(super) fn of(&self, request: &BookingRequest) -> Result<Option<&Voucher>, Refusal> {
        let Some(code) = &request.voucher else {
            return Ok(None);
        };
        let voucher = self.0.iter().find(|voucher| voucher.is_called(code));
        voucher.map(Some).ok_or(Refusal::VoucherInvalid)
    }
}

/// Uses the vouchers of new bookings, which are stored in this transaction; tells who has come too
/// late for theirs: then the caller must roll back. Two round trips, or none where there are no
/// vouchers.
///
/// Comes after the claims: whoever waits for a voucher holds all else that they want, and whoever
/// has the voucher waits for nothing.
pub(super) async fn redeem(
    tx: &mut Connection,
    drafts: &[&Draft<'_>],
    now: DateTime<Utc>,
) -> Result<Refused> {
    let new = drafts.iter().filter_map(|draft| {
        Some(NewRedemption {
            booking_id: draft.booking().id,
            voucher: draft.quote.voucher.as_ref()?,
        })
    });
    let new: Vec<_> = new.collect();
    if new.is_empty() {
        return Ok(Refused::new());
    }
    let redeemed = vouchers::redeem(tx, &new, now).await?;
    let late = new.iter().filter(|new| !redeemed.contains(&new.booking_id));
    Ok(late
        .map(|new| (new.booking_id, Refusal::VoucherInvalid.into()))
        .collect())
}
