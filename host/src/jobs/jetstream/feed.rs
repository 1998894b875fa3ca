//! What the servers tell of changes, into the mirror.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::kv::{Operation, Watch};
use futures_util::StreamExt as _;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::Shared;
use super::ledger::{Entry, Stored};

/// The wait before the servers are asked again to tell all.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long they may be silent while they tell what there is: the last entry can vanish before it is told.
const SILENCE: Duration = Duration::from_secs(3);

/// Keeps the mirror up to date, for ever. `ready` is told once all is in it that was there.
pub(super) async fn feed(shared: Arc<Shared>, ready: oneshot::Sender<()>) {
    let mut ready = Some(ready);
    loop {
        match begin(&shared).await {
            Ok((watch, n_entries)) => {
                if n_entries > 0 {
                    listen(&shared, watch, &mut ready).await;
                } else {
                    finish(&shared, &mut ready);
                    listen_on(&shared, watch).await;
                }
            }
            Err(error) => tracing::warn!(error, "changes of operations are not told now"),
        }
        sleep(AGAIN_AFTER).await;
    }
}

/// Asks for everything, and then for each change.
async fn begin(shared: &Shared) -> Result<(Watch, u64), String> {
    shared.mirror.begin_telling();
    let bucket = shared.ledger.operations();
    let info = bucket.stream.get_info().await.map_err(|error| error.to_string())?;
    let watch = bucket.watch_with_history(">").await.map_err(|error| error.to_string())?;
    Ok((watch, info.state.messages))
}

/// Takes in all that there is, and then each change.
async fn listen(shared: &Shared, mut watch: Watch, ready: &mut Option<oneshot::Sender<()>>) {
    loop {
        match timeout(SILENCE, watch.next()).await {
            Ok(Some(told)) => {
                let is_all = told.as_ref().is_ok_and(|entry| entry.delta == 0);
                take_in(shared, told);
                if is_all {
                    break;
                }
            }
            Ok(None) => return,
            Err(_) => break,
        }
    }
    finish(shared, ready);
    listen_on(shared, watch).await;
}

fn finish(shared: &Shared, ready: &mut Option<oneshot::Sender<()>>) {
    shared.mirror.end_telling();
    if let Some(ready) = ready.take() {
        let _ = ready.send(());
    }
}

async fn listen_on(shared: &Shared, mut watch: Watch) {
    while let Some(told) = watch.next().await {
        take_in(shared, told);
    }
}

fn take_in(
    shared: &Shared,
    told: Result<async_nats::jetstream::kv::Entry, async_nats::jetstream::kv::WatcherError>,
) {
    let told = match told {
        Ok(told) => told,
        // The connection or the server was lost. It goes on from where it was, by itself.
        Err(error) => return tracing::debug!(%error, "changes of operations are not told for a moment"),
    };
    let Ok(id) = told.key.parse() else { return };
    if told.operation != Operation::Put {
        return shared.mirror.note_removal(id, told.revision);
    }
    match Entry::from_json(&told.value) {
        Ok(entry) => shared.mirror.note(&Stored { entry, revision: told.revision, json: told.value }),
        Err(error) => tracing::error!(operation = %id, %error, "an operation can't be read"),
    }
}
