//! Captures that a fleet of agents shares, in an object store at NATS servers: a layer is read once by all of them.
//!
//! An object is a capture in a compact form, compressed, and sealed for its name: nobody who can write into the store, and
//! has none of the keys, can make an agent see a layer that does not exist. Whoever finds nothing claims the layer; others
//! wait for it a while. The store drops what is oldest when it is full.

use std::error::Error;
use std::fmt;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::object_store::{InfoErrorKind, ObjectStore};
use async_nats::jetstream::stream::{self, DiscardPolicy, LastRawMessageErrorKind, Stream};
use regent_oci::Digest;
use regent_scan::{CAPTURE_VERSION, CapturedLayer};
use regent_transport::BoxFuture;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

use super::form;
use super::store::{CaptureKey, CaptureStore, Sighting, Turn};
use crate::nats::{CLAIM, Claim, Claims, Nats, NatsError};
use crate::seal::SealKeys;

/// How long a capture is kept.
const KEPT_FOR: Duration = Duration::from_hours(7 * 24);
/// The largest object, in bytes.
const MAX_OBJECT_BYTES: usize = 32 << 20;
/// How long an object may take on its way.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it is waited for a layer that somebody else reads, and how often it is looked.
const WAIT: (Duration, Duration) = (Duration::from_mins(1), Duration::from_millis(250));
/// For how long the store is left alone that has failed.
const FAILED_WAIT: Duration = Duration::from_secs(10);
/// Captures that may wait to be stored. More are not kept.
const MAX_WAITING: usize = 16;

/// Captures in an object store.
pub struct FleetCaptures {
    shared: Arc<Shared>,
    /// Claims that are held, and captures on their way into the store.
    tasks: Mutex<JoinSet<()>>,
}

struct Shared {
    nats: Nats,
    objects: ObjectStore,
    /// What the objects are in.
    stream: Stream,
    claims: Claims,
    keys: SealKeys,
    room: Semaphore,
    // std, since it is held for a few instructions and never over an await.
    failed_until: Mutex<Option<Instant>>,
}

impl FleetCaptures {
    /// Opens the store, which takes up to `max_bytes`, and makes it where it is not there. To be called in a tokio runtime.
    ///
    /// # Errors
    /// [`NatsError::Refused`].
    pub async fn open(nats: &Nats, keys: SealKeys, max_bytes: u64) -> Result<Self, NatsError> {
        let bucket = format!("{}-captures", nats.prefix());
        let config = stream::Config {
            name: format!("OBJ_{bucket}"),
            subjects: vec![format!("$O.{bucket}.C.>"), format!("$O.{bucket}.M.>")],
            max_age: KEPT_FOR,
            max_bytes: i64::try_from(max_bytes).unwrap_or(i64::MAX),
            discard: DiscardPolicy::Old,
            allow_rollup: true,
            description: Some("Regent: captures of layers".to_owned()),
            ..stream::Config::default()
        };
        let stream = nats.stream(config).await?;
        let opened = nats.jetstream().get_object_store(&bucket).await;
        let objects = opened.map_err(|error| nats.refused(format!("object store {bucket}"), &error))?;
        let shared = Shared {
            nats: nats.clone(),
            objects,
            stream,
            claims: Claims::open(nats).await?,
            keys,
            room: Semaphore::new(MAX_WAITING),
            failed_until: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), tasks: Mutex::default() })
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Returns once all that is to be kept is kept.
    #[cfg(test)]
    async fn settle(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap());
        while tasks.join_next().await.is_some() {}
    }

    async fn find_or_claim(&self, key: &CaptureKey) -> Result<Sighting, NatsError> {
        let (name, end) = (name(key), Instant::now() + WAIT.0);
        loop {
            if let Some(layer) = self.shared.find(key, &name).await? {
                return Ok(Sighting::Found(layer));
            }
            if let Some(claim) = self.shared.claims.claim(&name).await? {
                // It may have been stored just before its reader gave up the claim.
                if let Some(layer) = self.shared.find(key, &name).await? {
                    self.shared.claims.give_up(claim).await?;
                    return Ok(Sighting::Found(layer));
                }
                let (turn, over) = Turn::new();
                self.spawn(hold(Arc::clone(&self.shared), claim, over));
                return Ok(Sighting::Missing(turn));
            }
            if Instant::now() >= end {
                return Ok(Sighting::Unknown);
            }
            sleep(WAIT.1).await;
        }
    }
}

impl Shared {
    /// The capture of a layer, if it is there as it was stored.
    async fn find(&self, key: &CaptureKey, name: &str) -> Result<Option<CapturedLayer>, NatsError> {
        let failed = |error: &dyn Error| self.nats.refused("a capture".to_owned(), error);
        let info = match self.objects.info(name).await {
            Ok(info) => info,
            Err(error) if error.kind() == InfoErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        let is_link = info.options.is_some_and(|options| options.link.is_some());
        if info.deleted || is_link || info.size > MAX_OBJECT_BYTES || info.chunks == 0 {
            return Ok(None);
        }
        // What is oldest is dropped first, and that is an object's content before its name.
        let content = format!("$O.{}.C.{}", info.bucket, info.nuid);
        match self.stream.get_last_raw_message_by_subject(&content).await {
            Ok(_) => {}
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        }
        let read = timeout(PATIENCE, self.read(name));
        let sealed = match read.await {
            Ok(Ok(Some(sealed))) => sealed,
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(error)) => return Err(failed(error.as_ref())),
            Err(error) => return Err(failed(&error)),
        };
        let (digest, name, keys) = (key.layer().clone(), name.to_owned(), self.keys.clone());
        let opened = spawn_blocking(move || form::unpack(&keys.open_bytes(&sealed, &name).ok()?, digest));
        Ok(opened.await.ok().flatten())
    }

    /// An object's bytes, if all of them are there, and not more than there may be.
    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Box<dyn Error + Send + Sync>> {
        let mut sealed = Vec::new();
        // What its description says of its size need not be so.
        let mut object = self.objects.get(name).await?.take(MAX_OBJECT_BYTES as u64 + 1);
        match object.read_to_end(&mut sealed).await {
            Ok(n_bytes) => Ok((n_bytes <= MAX_OBJECT_BYTES).then_some(sealed)),
            Err(error) if error.kind() == ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn store(&self, name: String, layer: CapturedLayer) {
        let keys = self.keys.clone();
        let packed = spawn_blocking({
            let name = name.clone();
            move || Some(keys.seal_bytes(&form::pack(&layer)?, &name))
        });
        let Ok(Some(sealed)) = packed.await else { return };
        if sealed.len() > MAX_OBJECT_BYTES {
            return;
        }
        match timeout(PATIENCE, self.objects.put(name.as_str(), &mut sealed.as_slice())).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => self.failed(&self.nats.refused("a capture".to_owned(), &error)),
            Err(error) => self.failed(&self.nats.refused("a capture".to_owned(), &error)),
        }
    }

    fn has_failed(&self) -> bool {
        let until = *self.failed_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| until > Instant::now())
    }

    fn failed(&self, error: &NatsError) {
        tracing::warn!(%error, "captures are not shared now");
        *self.failed_until.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Instant::now() + FAILED_WAIT);
    }
}

/// Keeps a claim until it is no longer needed.
async fn hold(shared: Arc<Shared>, mut claim: Claim, mut over: oneshot::Receiver<()>) {
    loop {
        if timeout(CLAIM / 3, &mut over).await.is_ok() {
            break;
        }
        match shared.claims.renew(&claim).await {
            Ok(Some(renewed)) => claim = renewed,
            // Somebody else has it now.
            Ok(None) => return,
            Err(error) => tracing::debug!(%error, "a claim on a layer could not be renewed"),
        }
    }
    if let Err(error) = shared.claims.give_up(claim).await {
        tracing::debug!(%error, "a claim on a layer could not be given up");
    }
}

impl CaptureStore for FleetCaptures {
    fn look<'a>(&'a self, key: &'a CaptureKey) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            if self.shared.has_failed() {
                return Sighting::Unknown;
            }
            self.find_or_claim(key).await.unwrap_or_else(|error| {
                self.shared.failed(&error);
                Sighting::Unknown
            })
        })
    }

    fn keep(&self, key: &CaptureKey, layer: &CapturedLayer, turn: Option<Turn>) {
        // Without one it is not known whether it is there, or somebody else is about to store it.
        let Some(turn) = turn else { return };
        let (shared, name, layer) = (Arc::clone(&self.shared), name(key), layer.clone());
        if layer.capture().cost_bytes() > 2 * MAX_OBJECT_BYTES as u64 {
            return;
        }
        self.spawn(async move {
            // Whoever waits for the layer waits until it is there.
            let _turn = turn;
            let Ok(_room) = shared.room.try_acquire() else { return };
            shared.store(name, layer).await;
        });
    }
}

impl fmt::Debug for FleetCaptures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetCaptures").field("nats", &self.shared.nats).finish_non_exhaustive()
    }
}

/// An object's name, and the place that it is sealed for. A capture depends on nothing else. Agents of another release may
/// write it in another form.
fn name(key: &CaptureKey) -> String {
    let release = env!("CARGO_PKG_VERSION");
    let text = |digest: &Digest| format!("{}-{}", digest.algorithm().as_str(), digest.hex());
    let toc = key.toc().map(|toc| format!("-by-{}", text(toc))).unwrap_or_default();
    let extra = key.extra().map(|extra| format!("-with-{}", text(extra))).unwrap_or_default();
    format!("{}{toc}{extra}-v{CAPTURE_VERSION}-{release}", text(key.layer()))
}

#[cfg(test)]
mod tests;
