//! What the servers tell of changes, into the mirror.
//!
//! The library makes a watch anew that has broken off, and takes its time: where a server was lost, minutes. So a silent watch
//! is compared with what the servers have, and left for a new one when it is behind.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::kv::{Operation, Watch};
use async_nats::jetstream::stream::State;
use futures_util::StreamExt as _;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::Shared;
use super::ledger::{Entry, Stored};

/// The wait before the servers are asked again to tell all.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long they may be silent while they tell what there is: the last entry can vanish before it is told.
const SILENCE: Duration = Duration::from_secs(3);
/// After how long a silence it is asked whether there is something new.
const CHECK_AFTER: Duration = Duration::from_secs(5);

/// Keeps the mirror up to date, for ever. `ready` is told once all is in it that was there.
pub(super) async fn feed(shared: Arc<Shared>, ready: oneshot::Sender<()>) {
    let mut ready = Some(ready);
    loop {
        match begin(&shared).await {
            Ok((mut watch, state)) => {
                if state.messages == 0 || tell_all(&shared, &mut watch).await {
                    shared.mirror.end_telling();
                    if let Some(ready) = ready.take() {
                        let _ = ready.send(());
                    }
                    listen(&shared, watch, state.last_sequence).await;
                }
            }
            Err(error) => tracing::warn!(error, "changes of operations are not told now"),
        }
        sleep(AGAIN_AFTER).await;
    }
}

/// Asks for everything, and then for each change.
async fn begin(shared: &Shared) -> Result<(Watch, State), String> {
    shared.mirror.begin_telling();
    let bucket = shared.ledger.operations();
    let info = bucket.stream.get_info().await.map_err(|error| error.to_string())?;
    let watch = bucket.watch_with_history(">").await.map_err(|error| error.to_string())?;
    Ok((watch, info.state))
}

/// Takes in all that there is. False where that broke off.
async fn tell_all(shared: &Shared, watch: &mut Watch) -> bool {
    while let Ok(Some(told)) = timeout(SILENCE, watch.next()).await {
        let is_all = told.as_ref().is_ok_and(|entry| entry.delta == 0);
        take_in(shared, told);
        if is_all {
            return true;
        }
    }
    false
}

/// Takes in each change, until the watch ends or is behind. All up to the revision `newest` is known.
async fn listen(shared: &Shared, mut watch: Watch, mut newest: u64) {
    // What was there at the last look, and has not been told.
    let mut missed = None;
    loop {
        match timeout(CHECK_AFTER, watch.next()).await {
            Ok(Some(told)) => {
                if let Ok(entry) = &told {
                    newest = newest.max(entry.revision);
                }
                take_in(shared, told);
            }
            Ok(None) => return,
            Err(_) => {
                if missed.is_some_and(|missed| missed > newest) {
                    tracing::info!("changes of operations are asked for anew");
                    return;
                }
                let info = shared.ledger.operations().stream.get_info().await;
                missed = info.ok().map(|info| info.state.last_sequence);
            }
        }
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
