//! What follows from events of Stripe's, from the past of a booking, and from what it is of.

use super::tampered::{Case, each_is_found};

const DERIVED: [Case; 16] = [
    (
        "ledger_transfers",
        "update ledger_transfers set amount_minor = 5000 where kind = 'dispute_withdrawal'",
        "the 'dispute_withdrawal' of",
    ),
    (
        "ledger_transfers",
        "update ledger_transfers set amount_minor = 1199 where kind = 'dispute_withdrawal'",
        "dispute_withdrawal 1199 eur from",
    ),
    (
        "ledger_transfers",
        "update ledger_transfers set debit = 'customer_payments' where kind = 'dispute_withdrawal'",
        "the 'dispute_withdrawal' of",
    ),
    (
        "disputes",
        "update disputes set evidence_due_by = evidence_due_by + interval '1 day'",
        "what is told of dispute du_",
    ),
    (
        "disputes",
        "update disputes set reason = 'a whim'",
        "stored DisputeTerms { reason: Some(\"a whim\")",
    ),
    (
        "disputes",
        "update disputes set was_asked_about = true, status = 'won', closed_at = reported_at",
        "its booking's past says not closed",
    ),
    (
        "refunds",
        "update refunds set source = 'policy' where source = 'admin'",
        "its booking's past says admin, for a whim",
    ),
    (
        "refunds",
        "update refunds set reason = 'another' where source = 'admin'",
        "its booking's past says admin, for a whim",
    ),
    (
        "refunds",
        "update refunds set reason = 'another' where source = 'surplus'",
        "its booking's past says surplus, for late_payment",
    ),
    (
        "refunds",
        "update refunds set source = 'admin' where source = 'surplus'",
        "its booking's past says surplus, for late_payment",
    ),
    (
        "refunds",
        "update refunds set source = 'dashboard' where source = 'policy'",
        "its booking's past says policy, for cancelled",
    ),
    (
        "bookings",
        "update bookings set cancellation_policy = '[{\"hoursBefore\": 1, \"refundPercent\": 1}]'
         where seats = '{A2}'",
        "its show says",
    ),
    (
        "bookings",
        "update bookings set cancellation_policy = '[{\"hoursBefore\": 1, \"refundPercent\": 1}]'
         where kind = 'service'",
        "its service says",
    ),
    (
        "bookings",
        "update bookings set total_minor = total_minor + 1, conceded_minor = 1
         where kind = 'service'",
        "its service says",
    ),
    (
        "bookings",
        "update bookings set total_minor = 1300, due_minor = 1300, conceded_minor = 100
         where seats = '{A6}'",
        "its show says 1200 eur",
    ),
    (
        "bookings",
        "update bookings set payment_option = 'half' where seats = '{A2}'",
        "to be paid half, its attempts say to be paid full",
    ),
];

#[tokio::test]
async fn what_follows_from_something_else_is_compared_with_it() {
    each_is_found(&DERIVED).await;
}
