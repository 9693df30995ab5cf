//! Who is calling.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::user::Role;
use crate::http::extract::Json;
use crate::http::identity::CurrentUser;

/// The caller as their token describes them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeView {
    id: String,
    email: Option<String>,
    name: Option<String>,
    role: Role,
}

/// Who the caller is.
#[utoipa::path(get, path = "/api/me", responses((status = 200, body = MeView)))]
pub async fn find_me(CurrentUser(user): CurrentUser) -> Json<MeView> {
    Json(MeView {
        id: user.id.0,
        email: user.email,
        name: user.name,
        role: user.role,
    })
}
