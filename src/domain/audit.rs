//! The audit log: what admins have done, in a chain of hashes that shows whether anybody has
//! changed it since.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::user::UserId;

/// What an admin can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminAction {
    /// Adds a movie.
    CreateMovie,
    /// Adds a show.
    CreateShow,
    /// Cancels a show and all that was booked of it.
    CancelShow,
    /// Adds a service.
    CreateService,
    /// Adds a voucher.
    CreateVoucher,
    /// Changes a voucher.
    ChangeVoucher,
    /// Has an event of Stripe's settled again.
    ReplayPaymentEvent,
    /// Wants nothing done about a discrepancy.
    DismissDiscrepancy,
    /// Has Stripe asked about a booking.
    VerifyBooking,
    /// Has all that Stripe has compared with our records.
    BeginReconciliation,
    /// Cancels somebody's booking.
    CancelBooking,
    /// Gives money back.
    Refund,
    /// Decides about a booking under review.
    ResolveReview,
}

impl AdminAction {
    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateMovie => "createMovie",
            Self::CreateShow => "createShow",
            Self::CancelShow => "cancelShow",
            Self::CreateService => "createService",
            Self::CreateVoucher => "createVoucher",
            Self::ChangeVoucher => "changeVoucher",
            Self::ReplayPaymentEvent => "replayPaymentEvent",
            Self::DismissDiscrepancy => "dismissDiscrepancy",
            Self::VerifyBooking => "verifyBooking",
            Self::BeginReconciliation => "beginReconciliation",
            Self::CancelBooking => "cancelBooking",
            Self::Refund => "refund",
            Self::ResolveReview => "resolveReview",
        }
    }
}

/// What an admin does, to be logged.
#[derive(Debug, Clone)]
pub struct NewAuditEntry {
    /// Who does it.
    pub actor: UserId,
    /// What they do.
    pub action: AdminAction,
    /// To what, such as a booking's id.
    pub subject: String,
    /// Why, if they say so.
    pub reason: Option<String>,
    /// The id of the request in which they do it.
    pub request_id: Option<String>,
}

/// What an admin has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place in the log, from 1 and without gaps.
    pub number: i64,
    /// When, to the microsecond.
    pub at: DateTime<Utc>,
    /// Who has done it.
    pub actor: String,
    /// What they have done.
    pub action: String,
    /// To what, such as a booking's id.
    pub subject: String,
    /// Why, if they said so.
    pub reason: Option<String>,
    /// The id of the request in which they did it.
    pub request_id: Option<String>,
    /// The end of the log before it.
    pub previous_hash: Vec<u8>,
    /// The end of the log with it.
    pub hash: Vec<u8>,
}

/// Where a chain ends: the number of its last entry, and its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainEnd {
    /// 0 for an empty log.
    pub number: i64,
    /// 32 zeros for an empty log.
    pub hash: Vec<u8>,
}

impl Default for ChainEnd {
    fn default() -> Self {
        Self {
            number: 0,
            hash: vec![0; 32],
        }
    }
}

/// As it is noted, to be compared later: `COUNT:HASH`.
impl FromStr for ChainEnd {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "it is no count of entries, colon, and 64 hexadecimal digits";
        let (number, hash) = text.split_once(':').ok_or(WRONG)?;
        let number: u32 = number.parse().map_err(|_| WRONG)?;
        let hash = hex::decode(hash).map_err(|_| WRONG)?;
        if hash.len() == Self::default().hash.len() {
            let number = number.into();
            Ok(Self { number, hash })
        } else {
            Err(WRONG)
        }
    }
}

impl ChainEnd {
    /// The entry that follows.
    pub fn append(&self, new: &NewAuditEntry, now: DateTime<Utc>) -> AuditEntry {
        // As Postgres keeps it: what is hashed must be what is read again.
        let at = DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now);
        let mut entry = AuditEntry {
            number: self.number.saturating_add(1),
            at,
            actor: new.actor.0.clone(),
            action: new.action.as_str().to_owned(),
            subject: new.subject.clone(),
            reason: new.reason.clone(),
            request_id: new.request_id.clone(),
            previous_hash: self.hash.clone(),
            hash: Vec::new(),
        };
        entry.hash = entry.computed_hash();
        entry
    }

    /// The end of the chain with an entry, if that follows, and is as it was written.
    pub fn followed_by(&self, entry: &AuditEntry) -> Option<Self> {
        let follows = entry.number == self.number.saturating_add(1)
            && entry.previous_hash == self.hash
            && entry.hash == entry.computed_hash();
        follows.then(|| Self {
            number: entry.number,
            hash: entry.hash.clone(),
        })
    }
}

impl AuditEntry {
    /// SHA-256 over all that the entry says, as a JSON array.
    fn computed_hash(&self) -> Vec<u8> {
        let said = json!([
            self.number,
            self.at.timestamp_micros(),
            self.actor,
            self.action,
            self.subject,
            self.reason,
            self.request_id,
            hex::encode(&self.previous_hash),
        ]);
        Sha256::digest(said.to_string()).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes what an entry says.
    type Change = fn(&mut AuditEntry);

    fn entry(after: &ChainEnd) -> AuditEntry {
        let new = NewAuditEntry {
            actor: UserId("user_admin".to_owned()),
            action: AdminAction::CreateMovie,
            subject: "a movie".to_owned(),
            reason: None,
            request_id: Some("request".to_owned()),
        };
        after.append(&new, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn entries_follow_each_other() {
        let empty = ChainEnd::default();
        let first = entry(&empty);
        let end = empty.followed_by(&first).unwrap();
        let second = entry(&end);

        assert_eq!((first.number, second.number), (1, 2));
        assert_ne!(first.hash, second.hash);
        assert_eq!(end.followed_by(&second).unwrap().number, 2);
        assert_eq!(empty.followed_by(&second), None, "one is taken out");
        assert_eq!(end.followed_by(&first), None, "one is doubled");
    }

    #[test]
    fn an_end_is_read_as_it_is_noted() {
        let noted = format!("12:{}", "ab".repeat(32));
        let end = ChainEnd {
            number: 12,
            hash: vec![0xab; 32],
        };

        assert_eq!(noted.parse(), Ok(end));
        for wrong in ["", "12", "12:", "12:ab", ":", &noted[1..2], &noted[..66]] {
            assert!(wrong.parse::<ChainEnd>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn whatever_is_changed_breaks_the_chain() {
        let empty = ChainEnd::default();
        let changes: [Change; 9] = [
            |entry| entry.number += 1,
            |entry| entry.at += chrono::TimeDelta::microseconds(1),
            |entry| entry.actor.push('x'),
            |entry| entry.action.push('x'),
            |entry| entry.subject.push('x'),
            |entry| entry.reason = Some(String::new()),
            |entry| entry.request_id = None,
            |entry| entry.previous_hash[0] ^= 1,
            |entry| entry.hash[0] ^= 1,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut altered = entry(&empty);
            change(&mut altered);

            assert_eq!(empty.followed_by(&altered), None, "{number}");
        }
    }
}
