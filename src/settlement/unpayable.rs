//! The end of a booking that nobody can pay: there is nothing that Stripe could say of it.

use super::round::Round;
use crate::app::App;
use crate::domain::checkout_state::Ending;
use crate::domain::ids::BookingId;
use crate::error::Result;
use crate::repositories::attempts;

/// Ends a pending booking that has no attempt which could be paid, as cancelled where that was
/// asked for, else as expired. One that is not so is left alone. Commits.
pub async fn end_unpayable(app: &App, id: BookingId) -> Result<()> {
    let mut tx = app.begin_payment().await?;
    let Some(unpayable) = attempts::lock_unpayable(&mut tx, id).await? else {
        return Ok(());
    };
    let ending = if unpayable.cancel_requested {
        Ending::Cancelled
    } else {
        Ending::Expired
    };
    let mut round = Round::new(app.now());
    round.end_booking(&mut tx, id, ending).await?;
    round.finish(&mut tx).await?;
    app.commit(tx).await
}
