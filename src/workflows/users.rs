//! Users, as their tokens describe them.

use std::sync::Weak;

use futures_util::future::BoxFuture;

use crate::app::{App, BatchHandler, Batched};
use crate::domain::user::User;
use crate::error::Result;
use crate::repositories::users;

/// Stores the users who come at the same moment. One round trip. In a rush of new buyers each would
/// be a commit of its own.
pub(super) struct StoreUsers(pub(super) Weak<App>);

impl BatchHandler for StoreUsers {
    type Request = User;
    type Answer = ();

    fn conflict_keys(&self, user: &User) -> Vec<String> {
        vec![user.id.as_str().to_owned()]
    }

    fn handle<'a>(&'a self, batch: &'a [Batched<User>]) -> BoxFuture<'a, Result<Vec<Result<()>>>> {
        Box::pin(async {
            let app = App::upgrade(&self.0)?;
            let users: Vec<_> = batch.iter().map(|batched| &batched.request).collect();
            users::upsert(&mut app.acquire().await?, &users, app.now()).await?;
            Ok(users.iter().map(|_| Ok(())).collect())
        })
    }
}
