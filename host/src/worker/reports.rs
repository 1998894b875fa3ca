//! From findings to what is sent of them. An image that did not change, asked for in the same way, has the same results:
//! they are made and written once, as long as there is room to keep them.

use std::sync::{Arc, Mutex, PoisonError};

use regent_oci::Digest;
use regent_report::{Attestation, Digests, ImageName, Options};
use regent_scan::Findings;

use crate::recent::Recent;
use crate::scanning::ScannedImage;

/// Memory for results, in bytes. One has some hundred KiB.
const MEMORY_BYTES: u64 = 8 << 20;

/// Results of scans, and those of before.
pub(super) struct Reports {
    // std, since it is held for a few instructions and never over an await.
    kept: Mutex<Recent<Digest, Arc<Kept>>>,
}

/// Results, each as JSON.
pub(super) type Texts = Arc<[String]>;

/// What results were made of, and they.
struct Kept {
    /// Findings are the same if they are the same ones: they are kept as long as they are known.
    findings: Arc<Findings>,
    digests: Digests,
    attestations: Vec<Attestation>,
    name: ImageName,
    options: Options,
    texts: Texts,
}

impl Reports {
    pub(super) fn new() -> Self {
        Self { kept: Mutex::new(Recent::new(MEMORY_BYTES)) }
    }

    /// The results of a scan as they were made before.
    pub(super) fn find(&self, scanned: &ScannedImage, name: &ImageName, options: &Options) -> Option<Texts> {
        // The configuration, and what results call layers, depend on the manifest.
        let digests = scanned.digests.as_ref()?;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).find(&digests.manifest)?;
        let is_same = Arc::ptr_eq(&kept.findings, &scanned.findings)
            && kept.digests == *digests
            && kept.attestations == scanned.facts.attestations
            && kept.name == *name
            && kept.options == *options;
        is_same.then(|| Arc::clone(&kept.texts))
    }

    /// Keeps results for the next time.
    pub(super) fn keep(&self, scanned: &ScannedImage, name: ImageName, options: &Options, texts: &Texts) {
        let Some(digests) = scanned.digests.clone() else { return };
        let size_bytes = texts.iter().map(String::len).sum::<usize>() as u64;
        let key = digests.manifest.clone();
        let kept = Kept {
            findings: Arc::clone(&scanned.findings),
            digests,
            attestations: scanned.facts.attestations.clone(),
            name,
            options: options.clone(),
            texts: Arc::clone(texts),
        };
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).keep(key, Arc::new(kept), size_bytes);
    }
}
