//! Captures beside those in memory, for others as well.

use regent_oci::Digest;
use regent_scan::{CapturedLayer, Extra, TocPin};
use regent_transport::BoxFuture;
use tokio::sync::oneshot;

/// What a capture depends on: the layer's bytes, or where only parts of them were read, what the manifest pins of its table of
/// contents as well. A registry that serves another table, for another manifest, has made a capture for that manifest alone.
/// And what was kept because links of some image lead there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CaptureKey {
    layer: Digest,
    toc: Option<Digest>,
    extra: Option<Digest>,
}

impl CaptureKey {
    /// Of a layer that is read as a whole.
    pub fn whole(layer: &Digest) -> Self {
        Self { layer: layer.clone(), toc: None, extra: None }
    }

    /// Of one that is read in parts.
    pub fn parts(layer: &Digest, pin: &TocPin) -> Self {
        Self { layer: layer.clone(), toc: Some(pin.digest().clone()), extra: None }
    }

    /// Of the same layer, read with this besides.
    #[must_use]
    pub fn with(self, extra: &Extra) -> Self {
        Self { extra: (!extra.is_empty()).then(|| extra.digest()), ..self }
    }

    /// The layer's digest.
    pub fn layer(&self) -> &Digest {
        &self.layer
    }

    /// The digest of the table of contents that it was read by.
    pub fn toc(&self) -> Option<&Digest> {
        self.toc.as_ref()
    }

    /// The digest of what was kept besides.
    pub fn extra(&self) -> Option<&Digest> {
        self.extra.as_ref()
    }
}

/// A level of captures below those in memory. Nothing of it makes a scan fail: what it can't give is read from the registry.
pub trait CaptureStore: Send + Sync {
    /// Looks for the capture of a layer. While somebody else reads that layer it is waited for, for a bounded time.
    fn look<'a>(&'a self, key: &'a CaptureKey) -> BoxFuture<'a, Sighting>;

    /// Keeps a capture of a layer that was read, with the turn that the look gave. Returns at once.
    fn keep(&self, key: &CaptureKey, layer: &CapturedLayer, turn: Option<Turn>);
}

/// What a look into the store has shown.
#[derive(Debug)]
pub enum Sighting {
    /// It is there.
    Found(CapturedLayer),
    /// It is not there, and others wait for whoever looked to read it.
    Missing(Turn),
    /// It is not there, or the store is of no use now: whoever looked reads it for itself.
    Unknown,
}

/// The right to read a layer for all. Others wait until it is dropped, or the layer is there.
#[derive(Debug)]
pub struct Turn {
    /// Nothing is ever sent: that it is gone is the message.
    _over: oneshot::Sender<()>,
}

impl Turn {
    /// A turn, and what tells that it is over.
    pub fn new() -> (Self, oneshot::Receiver<()>) {
        let (turn, over) = oneshot::channel();
        (Self { _over: turn }, over)
    }
}
