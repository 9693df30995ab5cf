//! The seats of shows, which everybody looks at all the time.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use futures_util::future::BoxFuture;

use crate::app::{App, BatchHandler, Batched, SeatMap};
use crate::domain::ids::ShowId;
use crate::error::Result;
use crate::repositories::shows;

/// Reads the maps of the shows that are looked at together.
pub(super) struct ReadSeatMaps(pub(super) Weak<App>);

impl BatchHandler for ReadSeatMaps {
    type Request = ShowId;
    type Answer = Option<Arc<SeatMap>>;

    fn handle<'a>(
        &'a self,
        batch: &'a [Batched<ShowId>],
    ) -> BoxFuture<'a, Result<Vec<Result<Self::Answer>>>> {
        Box::pin(async {
            let app = App::upgrade(&self.0)?;
            let mut ids: Vec<ShowId> = batch.iter().map(|batched| batched.request).collect();
            ids.sort_unstable();
            ids.dedup();
            let maps = read(&app, &ids).await?;
            let answers = batch.iter().map(|batched| maps.get(&batched.request));
            Ok(answers.map(|map| Ok(map.cloned())).collect())
        })
    }
}

/// One round trip, and one more for each show whose layout is new to this process.
async fn read(app: &App, ids: &[ShowId]) -> Result<HashMap<ShowId, Arc<SeatMap>>> {
    let mut db = app.acquire().await?;
    let mut maps = HashMap::new();
    for taken in shows::taken_seats(&mut db, ids).await? {
        let id = taken.show_id;
        let layout = match app.layouts.get(id, taken.layout_version) {
            Some(layout) => layout,
            None => app.layouts.remember(id, shows::layout(&mut db, id).await?),
        };
        let map = SeatMap {
            layout,
            taken,
            json: OnceLock::new(),
        };
        maps.insert(id, Arc::new(map));
    }
    Ok(maps)
}
