//! What the states of a Checkout Session, of its payment and of its PaymentIntent mean together.

/// Where a Checkout Session stands.
/// <https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-status>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStatus {
    /// The buyer can go on.
    Open,
    /// The buyer has finished.
    Complete,
    /// Nobody can go on.
    Expired,
    /// None, or one that is not known here.
    Other,
}

/// Where its payment stands.
/// <https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-payment_status>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionPaymentStatus {
    /// The money is there.
    Paid,
    /// It is not.
    Unpaid,
    /// None is owed, or not yet.
    NotRequired,
    /// None, or one that is not known here.
    Other,
}

/// Where its PaymentIntent stands.
/// <https://docs.stripe.com/payments/paymentintents/lifecycle>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentStatus {
    /// There is none: the buyer has not confirmed.
    Absent,
    /// It waits for a method: none was given, or the last one has failed.
    RequiresPaymentMethod,
    /// It waits to be confirmed.
    RequiresConfirmation,
    /// It waits for the buyer.
    RequiresAction,
    /// It waits for a bank.
    Processing,
    /// The money is set aside, and waits to be captured by us: we never ask for that.
    RequiresCapture,
    /// It will never be paid.
    Canceled,
    /// The money is there.
    Succeeded,
    /// One that is not known here.
    Other,
}

/// What a session says by its three states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionMeaning {
    /// Nothing yet: it may still be paid.
    Open,
    /// The money is there; the session says how much.
    PaidBySession,
    /// The money is there; the PaymentIntent says how much.
    PaidByIntent,
    /// The buyer has finished, and a bank has not decided.
    AwaitingFunds,
    /// The bank has decided against it.
    PaymentFailed,
    /// It can no longer be paid.
    Expired,
    /// Nothing that is known here. The sentence says what, for whoever has to look.
    Unexplained(&'static str),
}

impl SessionMeaning {
    /// What the three states mean. Money that is there counts, whatever else is said.
    ///
    /// A session whose delayed payment has failed stays complete and unpaid; its PaymentIntent goes
    /// back to wait for another method, which nobody can give it.
    pub fn of(session: SessionStatus, payment: SessionPaymentStatus, intent: IntentStatus) -> Self {
        match (session, payment, intent) {
            (_, SessionPaymentStatus::Paid, _) => Self::PaidBySession,
            (_, _, IntentStatus::Succeeded) => Self::PaidByIntent,
            (
                SessionStatus::Open,
                SessionPaymentStatus::Unpaid
                | SessionPaymentStatus::NotRequired
                | SessionPaymentStatus::Other,
                _,
            ) => Self::Open,
            (SessionStatus::Complete, SessionPaymentStatus::Unpaid, intent) => {
                Self::of_finished(intent)
            }
            (SessionStatus::Complete, SessionPaymentStatus::NotRequired, _) => {
                Self::Unexplained("it is complete, and nothing had to be paid")
            }
            (SessionStatus::Complete, SessionPaymentStatus::Other, _) => {
                Self::Unexplained("it is complete, and its payment is in no known state")
            }
            (
                SessionStatus::Expired,
                SessionPaymentStatus::Unpaid
                | SessionPaymentStatus::NotRequired
                | SessionPaymentStatus::Other,
                IntentStatus::Processing | IntentStatus::RequiresCapture,
            ) => Self::Unexplained("it has expired, and its payment is still under way"),
            (
                SessionStatus::Expired,
                SessionPaymentStatus::Unpaid
                | SessionPaymentStatus::NotRequired
                | SessionPaymentStatus::Other,
                IntentStatus::Absent
                | IntentStatus::RequiresPaymentMethod
                | IntentStatus::RequiresConfirmation
                | IntentStatus::RequiresAction
                | IntentStatus::Canceled
                | IntentStatus::Other,
            ) => Self::Expired,
            (
                SessionStatus::Other,
                SessionPaymentStatus::Unpaid
                | SessionPaymentStatus::NotRequired
                | SessionPaymentStatus::Other,
                _,
            ) => Self::Unexplained("it is in no known state"),
        }
    }

    /// Of a session that is complete and unpaid.
    fn of_finished(intent: IntentStatus) -> Self {
        match intent {
            IntentStatus::Succeeded => Self::PaidByIntent,
            IntentStatus::RequiresPaymentMethod | IntentStatus::Canceled => Self::PaymentFailed,
            IntentStatus::RequiresCapture => {
                Self::Unexplained("its money is set aside and waits to be captured")
            }
            IntentStatus::Absent | IntentStatus::RequiresConfirmation => {
                Self::Unexplained("it is complete, and nobody has paid for it")
            }
            IntentStatus::Other => {
                Self::Unexplained("it is complete, and its payment is in no known state")
            }
            IntentStatus::RequiresAction | IntentStatus::Processing => Self::AwaitingFunds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use IntentStatus as Intent;
    use SessionPaymentStatus as Payment;
    use SessionStatus as Session;

    const SESSIONS: [Session; 4] = [
        Session::Open,
        Session::Complete,
        Session::Expired,
        Session::Other,
    ];
    const UNPAID: [Payment; 3] = [Payment::Unpaid, Payment::NotRequired, Payment::Other];
    const INTENTS: [Intent; 9] = [
        Intent::Absent,
        Intent::RequiresPaymentMethod,
        Intent::RequiresConfirmation,
        Intent::RequiresAction,
        Intent::Processing,
        Intent::RequiresCapture,
        Intent::Canceled,
        Intent::Succeeded,
        Intent::Other,
    ];

    #[test]
    fn money_that_is_there_counts_in_every_state() {
        for session in SESSIONS {
            for intent in INTENTS {
                let meaning = SessionMeaning::of(session, Payment::Paid, intent);
                assert_eq!(meaning, SessionMeaning::PaidBySession);
            }
            for payment in UNPAID {
                let meaning = SessionMeaning::of(session, payment, Intent::Succeeded);
                assert_eq!(meaning, SessionMeaning::PaidByIntent);
            }
        }
    }

    /// One letter per PaymentIntent in the order of `INTENTS`, without `Succeeded`: open, awaiting,
    /// failed, expired, unexplained.
    #[test]
    fn every_state_without_money_has_a_meaning() {
        for (session, payment, letters) in [
            (Session::Open, Payment::Unpaid, "oooooooo"),
            (Session::Open, Payment::NotRequired, "oooooooo"),
            (Session::Open, Payment::Other, "oooooooo"),
            (Session::Complete, Payment::Unpaid, "ufuaaufu"),
            (Session::Complete, Payment::NotRequired, "uuuuuuuu"),
            (Session::Complete, Payment::Other, "uuuuuuuu"),
            (Session::Expired, Payment::Unpaid, "eeeeuuee"),
            (Session::Expired, Payment::NotRequired, "eeeeuuee"),
            (Session::Expired, Payment::Other, "eeeeuuee"),
            (Session::Other, Payment::Unpaid, "uuuuuuuu"),
            (Session::Other, Payment::NotRequired, "uuuuuuuu"),
            (Session::Other, Payment::Other, "uuuuuuuu"),
        ] {
            let unpaid = INTENTS
                .into_iter()
                .filter(|intent| *intent != Intent::Succeeded);
            let meanings =
                unpaid.map(|intent| letter(SessionMeaning::of(session, payment, intent)));

            assert_eq!(
                meanings.collect::<String>(),
                letters,
                "{session:?} {payment:?}"
            );
        }
    }

    fn letter(meaning: SessionMeaning) -> char {
        match meaning {
            SessionMeaning::Open => 'o',
            SessionMeaning::PaidBySession | SessionMeaning::PaidByIntent => 'p',
            SessionMeaning::AwaitingFunds => 'a',
            SessionMeaning::PaymentFailed => 'f',
            SessionMeaning::Expired => 'e',
            SessionMeaning::Unexplained(_) => 'u',
        }
    }
}
