//! Findings of images that were scanned before, in memory.

use std::sync::{Arc, Mutex, PoisonError};

use regent_oci::Digest;
use regent_scan::{Findings, Interest, Limits};

use crate::recent::Recent;
use crate::registry::ResolvedImage;

/// Findings by manifest. They depend on it, on what it refers to by digest, and on the limits of the scan alone: so a scan
/// of an image that did not change, which the registry has just said, begins with its end.
pub(super) struct KnownFindings {
    // std, since it is held for a few instructions and never over an await.
    kept: Mutex<Recent<Digest, Known>>,
}

#[derive(Clone)]
struct Known {
    findings: Arc<Findings>,
    limits: Limits,
}

impl KnownFindings {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { kept: Mutex::new(Recent::new(max_bytes)) }
    }

    /// What was found in an image.
    pub(super) fn find(
        &self,
        image: &ResolvedImage,
        limits: &Limits,
        interest: &Interest,
    ) -> Option<Arc<Findings>> {
        let key = key(image, interest)?;
        let known = self.kept.lock().unwrap_or_else(PoisonError::into_inner).find(key)?;
        (known.limits == *limits).then_some(known.findings)
    }

    /// Keeps what was found.
    pub(super) fn keep(
        &self,
        image: &ResolvedImage,
        limits: &Limits,
        interest: &Interest,
        findings: &Arc<Findings>,
    ) {
        let Some(key) = key(image, interest) else { return };
        let (size_bytes, known) =
            (findings.cost_bytes(), Known { findings: Arc::clone(findings), limits: limits.clone() });
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).keep(key.clone(), known, size_bytes);
    }
}

/// `None` where findings depend on more: on what a request asks for, or on an archive that may have changed under the same
/// manifest.
fn key<'a>(image: &'a ResolvedImage, interest: &Interest) -> Option<&'a Digest> {
    (interest.is_none() && !image.annotated).then_some(&image.manifest.digest)
}
