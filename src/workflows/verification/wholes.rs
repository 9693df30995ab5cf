//! What has to be right of all that there is together, whatever belongs to which booking. Each is
//! looked at in a transaction of its own: what was seen for one of them is locked no longer.

use sqlx::Executor;

use super::copies::begin;
use super::findings::Findings;
use crate::connection::Connection;
use crate::error::Result;
use crate::repositories::scratch::ScratchSchema;
use crate::repositories::{references, verification};

/// Checks vouchers, the gauge of money, and that whatever is named is there.
pub(super) async fn check(
    db: &mut Connection,
    copies: &ScratchSchema,
    findings: &mut Findings,
) -> Result<()> {
    begin(db, copies).await?;
    findings.add(verification::check_vouchers(db).await?);
    db.execute("rollback").await?;

    begin(db, copies).await?;
    findings.add(verification::check_gauge(db).await?);
    db.execute("rollback").await?;

    begin(db, copies).await?;
    let references = references::list(db).await?;
    db.execute("rollback").await?;
    for reference in references {
        begin(db, copies).await?;
        findings.add(references::find_dangling(db, &reference).await?);
        db.execute("rollback").await?;
    }
    Ok(())
}
