//! What an admin may do. Each handler takes an `Admin`, without which it cannot run.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audience::Audience;
use super::problems::{ADMIN, GENERAL, SIGNED_IN};
use crate::app::AppState;
use crate::controllers::admin::{
    audit_log, bookings, discrepancies, movies, payment_events, reconciliations, refunds, reviews,
    runs, services, shows, vouchers,
};

const AUDIENCE: Audience = Audience {
    name: "admin",
    description: "Users whose role is admin.",
    signs_in: true,
    problems: &[GENERAL, SIGNED_IN, ADMIN],
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    let routes = OpenApiRouter::new()
        .routes(routes!(movies::create_movie))
        .routes(routes!(shows::create_show))
        .routes(routes!(runs::cancel_show))
        .routes(routes!(runs::find_run))
        .routes(routes!(services::create_service))
        .routes(routes!(vouchers::create_voucher, vouchers::list_vouchers))
        .routes(routes!(vouchers::find_voucher, vouchers::change_voucher))
        .routes(routes!(audit_log::list_audit_entries))
        .routes(routes!(bookings::search_bookings))
        .routes(routes!(bookings::find_booking_overview))
        .routes(routes!(bookings::find_booking_timeline))
        .routes(routes!(bookings::verify_booking))
        .routes(routes!(refunds::refund_payment))
        .routes(routes!(reviews::resolve_booking))
        .routes(routes!(payment_events::list_payment_events))
        .routes(routes!(payment_events::find_payment_event))
        .routes(routes!(payment_events::replay_payment_event))
        .routes(routes!(reconciliations::begin_reconciliation))
        .routes(routes!(reconciliations::find_reconciliation))
        .routes(routes!(discrepancies::list_discrepancies))
        .routes(routes!(discrepancies::dismiss_discrepancy));
    AUDIENCE.describe(routes)
}
