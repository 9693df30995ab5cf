//! A booking as it would be stored: what was quoted, and the attempt to pay for it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tracing::Span;

use super::remedy::session_end;
use crate::app::Batched;
use crate::config::Config;
use crate::domain::attempt::NewAttempt;
use crate::domain::booking::{Booking, BookingDetails, BookingStatus};
use crate::domain::booking_request::BookingRequest;
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::money::Money;
use crate::domain::quote::Quote;
use crate::domain::reference::reference_of;
use crate::error::Error;
use crate::gateways::stripe::checkout::SessionRequest;

/// Who cannot have what they want, and why.
pub(super) type Refused = HashMap<BookingId, Error>;

/// A request that can be granted, as far as is known.
pub(super) struct Draft<'a> {
    pub(super) request: &'a BookingRequest,
    pub(super) span: &'a Span,
    pub(super) details: BookingDetails,
    pub(super) quote: Quote,
    /// The attempt to pay for it, unless it costs nothing.
    pub(super) attempt: Option<NewAttempt>,
}

impl<'a> Draft<'a> {
    /// A booking of what was quoted, held as long as a hold lasts, or confirmed at once if it costs
    /// nothing.
    pub(super) fn new(
        Batched { request, span }: &'a Batched<BookingRequest>,
        quote: Quote,
        config: &Config,
        now: DateTime<Utc>,
    ) -> Self {
        let is_free = quote.is_free();
        let id = BookingId::new();
        let hold_expires_at = (!is_free).then(|| now + config.hold);
        let attempt = hold_expires_at.map(|until| {
            let session = SessionRequest {
                config,
                booking_id: id,
                reservation: &quote.reservation,
                attempt_id: AttemptId::new(),
                part: quote.part,
                ui: request.ui,
                items: &quote.items,
                email: request.user.email.as_deref(),
                origin: &request.origin,
                expires_at: session_end(now, hold_expires_at),
                held_until: quote.timezone().map(|zone| until.with_timezone(&zone)),
                delayed_methods: quote.delayed_methods,
            };
            new_attempt(&session, quote.due)
        });
        let booking = Booking {
            id,
            reference: reference_of(rand::random()),
            user_id: request.user.id.clone(),
            reservation: quote.reservation.clone(),
            status: if is_free {
                BookingStatus::Confirmed
            } else {
                BookingStatus::Pending
            },
            payment_option: quote.payment_option,
            total: quote.total,
            due: quote.due,
            paid: Money::new(0, quote.total.currency),
            conceded_minor: 0,
            refunded: Money::new(0, quote.total.currency),
            hold_expires_at,
            confirmed_at: is_free.then_some(now),
            cancelled_at: None,
            version: 1,
            disputed: None,
            created_at: now,
        };
        let details = BookingDetails {
            booking,
            show: quote.show.clone(),
            service: quote.service.clone(),
            open_attempt: None,
        };
        Self {
            request,
            span,
            details,
            quote,
            attempt,
        }
    }

    pub(super) fn booking(&self) -> &Booking {
        &self.details.booking
    }
}

fn new_attempt(session: &SessionRequest<'_>, due: Money) -> NewAttempt {
    NewAttempt {
        id: session.attempt_id,
        part: session.part,
        ui: session.ui,
        amount_minor: due.amount_minor,
        parameters: session.parameters(),
        expires_at: session.expires_at,
    }
}
