//! Vouchers: made, changed and looked at.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::app::AppState;
use crate::domain::audit::AdminAction;
use crate::domain::ids::VoucherId;
use crate::domain::money::Money;
use crate::domain::refusal::Refusal;
use crate::domain::voucher::{Voucher, VoucherDraft, VoucherTerms};
use crate::error::{Error, Result};
use crate::http::acting_admin::ActingAdmin;
use crate::http::extract::{Json, Path, Query};
use crate::http::idempotency::{Idempotent, Keyed};
use crate::http::identity::Admin;
use crate::http::paging::{Limit, Page, read_cursor};
use crate::http::reply::Reply;
use crate::repositories::{audit_log, vouchers};

/// A voucher to be made. It takes off either a part of the price or an amount.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateVoucher {
    /// What buyers write, in capitals or not.
    code: String,
    percent_off: Option<u32>,
    /// Of prices in this currency.
    amount_off: Option<Money>,
    /// As often as anybody wants, if it is not given.
    max_uses: Option<i64>,
    valid_from: Option<DateTime<Utc>>,
    /// The first instant at which it is too late.
    valid_until: Option<DateTime<Utc>>,
    active: Option<bool>,
}

/// What is to change about a voucher; what is not given stays, and `null` is none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeVoucher {
    code: Option<String>,
    /// Takes the place of an amount.
    percent_off: Option<u32>,
    /// Takes the place of a percentage.
    amount_off: Option<Money>,
    /// At least as often as it is used.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    max_uses: Change<i64>,
    #[serde(default)]
    #[schema(value_type = Option<DateTime<Utc>>)]
    valid_from: Change<DateTime<Utc>>,
    #[serde(default)]
    #[schema(value_type = Option<DateTime<Utc>>)]
    valid_until: Change<DateTime<Utc>>,
    active: Option<bool>,
}

/// A member of a change. Tells what is given as `null` from what is not given.
#[derive(Debug, Default)]
enum Change<T> {
    #[default]
    NotGiven,
    Given(Option<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::Given)
    }
}

impl<T> Change<T> {
    fn or(self, stored: Option<T>) -> Option<T> {
        match self {
            Self::NotGiven => stored,
            Self::Given(value) => value,
        }
    }
}

/// A voucher.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VoucherView {
    id: VoucherId,
    code: String,
    percent_off: Option<u32>,
    amount_off: Option<Money>,
    max_uses: Option<i64>,
    /// How many live bookings have it. Above `maxUses` where a buyer has paid so late that others
    /// had used it meanwhile.
    used: i64,
    valid_from: Option<DateTime<Utc>>,
    valid_until: Option<DateTime<Utc>>,
    active: bool,
}

impl From<Voucher> for VoucherView {
    fn from(Voucher { id, terms, used }: Voucher) -> Self {
        let (percent_off, amount_off) = terms.reduction.parts();
        Self {
            id,
            code: terms.code,
            percent_off,
            amount_off,
            max_uses: terms.max_uses,
            used,
            valid_from: terms.valid_from,
            valid_until: terms.valid_until,
            active: terms.active,
        }
    }
}

impl From<CreateVoucher> for VoucherDraft {
    fn from(body: CreateVoucher) -> Self {
        Self {
            code: body.code,
            percent_off: body.percent_off,
            amount_off: body.amount_off,
            max_uses: body.max_uses,
            valid_from: body.valid_from,
            valid_until: body.valid_until,
            active: body.active.unwrap_or(true),
        }
    }
}

impl ChangeVoucher {
    fn draft(self, terms: VoucherTerms) -> VoucherDraft {
        let (percent_off, amount_off) = match (self.percent_off, self.amount_off) {
            (None, None) => terms.reduction.parts(),
            given => given,
        };
        VoucherDraft {
            code: self.code.unwrap_or(terms.code),
            percent_off,
            amount_off,
            max_uses: self.max_uses.or(terms.max_uses),
            valid_from: self.valid_from.or(terms.valid_from),
            valid_until: self.valid_until.or(terms.valid_until),
            active: self.active.unwrap_or(terms.active),
        }
    }
}

/// Makes a voucher.
#[utoipa::path(
    post, path = "/api/admin/vouchers",
    params(Idempotent<CreateVoucher>), request_body = CreateVoucher,
    responses((status = 201, body = VoucherView, headers(("Location" = String)))),
)]
pub async fn create_voucher(
    State(app): State<AppState>,
    admin: ActingAdmin,
    Idempotent { body, key }: Idempotent<CreateVoucher>,
) -> Result<Response> {
    let work = async |keyed: Keyed| {
        let now = app.now();
        let voucher = Voucher {
            id: VoucherId::new(),
            terms: VoucherDraft::from(body).check()?,
            used: 0,
        };
        let mut tx = app.begin().await?;
        let inserted = vouchers::insert(&mut tx, &voucher, now).await;
        inserted.map_err(refuse_taken)?;
        let entry = admin.entry(AdminAction::CreateVoucher, voucher.id, None);
        audit_log::append(&mut tx, &entry, now).await?;
        let location = format!("/api/admin/vouchers/{}", voucher.id);
        let reply = Reply::created(location, VoucherView::from(voucher));
        let kept = keyed.keep(&mut tx, reply, now).await?;
        app.commit(tx).await?;
        Ok(kept)
    };
    key.respond(&app, work).await
}

fn refuse_taken(error: Error) -> Error {
    match error.constraint() {
        Some(vouchers::CODE_KEY) => Refusal::field("code", "is that of another voucher").into(),
        _ => error,
    }
}

/// Which vouchers are listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListVouchers {
    limit: Option<i64>,
    cursor: Option<String>,
}

/// Vouchers, newest first.
#[utoipa::path(
    get, path = "/api/admin/vouchers", params(ListVouchers),
    responses((status = 200, body = Page<VoucherView>)),
)]
pub async fn list_vouchers(
    State(app): State<AppState>,
    _: Admin,
    Query(query): Query<ListVouchers>,
) -> Result<Json<Page<VoucherView>>> {
    let limit = Limit::of(query.limit)?;
    let before = read_cursor(query.cursor.as_deref(), |text| text.parse().ok())?;
    let mut db = app.pools.reporting.acquire().await?;
    let found = vouchers::list(&mut db, before, limit.fetch()).await?;
    let page = limit.page(found, |voucher| voucher.id.to_string());
    Ok(Json(page.map(VoucherView::from)))
}

/// A voucher.
#[utoipa::path(
    get, path = "/api/admin/vouchers/{id}", params(("id" = VoucherId, Path)),
    responses((status = 200, body = VoucherView), (status = 404, description = "`not_found`")),
)]
pub async fn find_voucher(
    State(app): State<AppState>,
    _: Admin,
    Path(id): Path<VoucherId>,
) -> Result<Json<VoucherView>> {
    let voucher = vouchers::find(&mut app.acquire().await?, id).await?;
    let voucher = voucher.ok_or(Refusal::NotFound("voucher"))?;
    Ok(Json(VoucherView::from(voucher)))
}

/// Changes a voucher for those who come after; bookings that have it keep what they were sold for.
#[utoipa::path(
    patch, path = "/api/admin/vouchers/{id}", params(("id" = VoucherId, Path)),
    request_body = ChangeVoucher,
    responses((status = 200, body = VoucherView), (status = 404, description = "`not_found`")),
)]
pub async fn change_voucher(
    State(app): State<AppState>,
    admin: ActingAdmin,
    Path(id): Path<VoucherId>,
    Json(body): Json<ChangeVoucher>,
) -> Result<Json<VoucherView>> {
    let now = app.now();
    let mut tx = app.begin().await?;
    vouchers::lock(&mut tx, &[id]).await?;
    let stored = vouchers::find(&mut tx, id).await?;
    let stored = stored.ok_or(Refusal::NotFound("voucher"))?;
    let changed = stored.changed(body.draft(stored.terms.clone()))?;
    let updated = vouchers::update(&mut tx, &changed, now).await;
    updated.map_err(refuse_taken)?;
    let entry = admin.entry(AdminAction::ChangeVoucher, id, None);
    audit_log::append(&mut tx, &entry, now).await?;
    app.commit(tx).await?;
    Ok(Json(VoucherView::from(changed)))
}
