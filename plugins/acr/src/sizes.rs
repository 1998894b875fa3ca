//! The sizes of images, which stand with the manifests and not with the tags.
//!
//! A page of tags points to manifests anywhere in the repository, so each page may need every page of manifests. But what a
//! digest names does not change: what was once read is kept, and a listing needs each page of tags and each page of manifests
//! once. Nothing is wrong if nothing is kept (another process may go on with a cursor): it is read again.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use regent_distribution::{Error, Scope, Session, Subject, next_cursor};
use regent_plugin_api::TagDetail;
use regent_plugin_api::oci::{Digest, RepositoryName};
use regent_plugin_api::url::Url;

use crate::attributes::{ManifestAttributes, ManifestList};
use crate::{MAX_PAGE, below};

/// The most manifests whose sizes are kept, at some 150 bytes each.
const MAX_KEPT: usize = 100_000;
/// The most pages of manifests for one page of tags, since a call has a deadline. The tags beyond are given without size.
const MAX_PAGES: u32 = 40;

/// With so few sizes to find, they are sought one by one; with more, all pages are read, and the next page of tags finds what it
/// needs among what is kept.
const FEW: usize = 16;

/// Sizes by digest; `None` where the registry has none.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    // A std lock: held for a look-up, never over an await.
    known: Mutex<HashMap<Digest, Option<u64>>>,
}

impl Sizes {
    /// Fills in the sizes, asking for as few pages of manifests as will do. Whether that is all of them: some manifests may
    /// lie beyond what is asked for in one call.
    pub(crate) async fn complete(
        &self,
        session: &Session,
        repository: &RepositoryName,
        scope: &Scope,
        details: &mut [TagDetail],
    ) -> Result<bool, Error> {
        let mut wanted: BTreeSet<Digest> = details.iter().map(|detail| detail.digest.clone()).collect();
        // Of this call alone: what is kept may be dropped by another one meanwhile.
        let mut found = self.take_known(&mut wanted);
        let are_few = wanted.len() <= FEW;
        let url = below(session.endpoint(), repository, "_manifests");
        let subject = Subject::Other(format!("the manifests of {repository}"));
        let mut page = url.clone();
        page.query_pairs_mut().append_pair("n", &MAX_PAGE.to_string());
        for _ in 0..MAX_PAGES {
            if wanted.is_empty() {
                break;
            }
            let (list, headers): (ManifestList, _) = session.fetch_json(page, scope, &subject).await?;
            let mut listed: Vec<_> =
                list.manifests.unwrap_or_default().iter().filter_map(ManifestAttributes::size).collect();
            let next = next_cursor(&headers, &subject)?;
            let end = listed.last().filter(|_| listed.is_sorted_by_key(|(digest, _)| digest)).cloned();
            for (digest, size) in &listed {
                if wanted.remove(digest) {
                    found.insert(digest.clone(), *size);
                }
            }
            // What would have been on this page, or an earlier one, the registry does not list.
            let passed =
                |digest: &Digest| next.is_none() || end.as_ref().is_some_and(|(end, _)| digest < end);
            for digest in wanted.extract_if(.., |digest| passed(digest)) {
                found.insert(digest.clone(), None);
                listed.push((digest, None));
            }
            self.keep(listed);
            let Some(next) = next else { break };
            page = url.clone();
            page.set_query(Some(&next));
            if let (true, Some(_), Some(first)) = (are_few, &end, wanted.first()) {
                page = after(page, first);
            }
        }
        for detail in details {
            detail.size_bytes = found.get(&detail.digest).copied().flatten();
        }
        Ok(wanted.is_empty())
    }

    fn keep(&self, sizes: Vec<(Digest, Option<u64>)>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > MAX_KEPT {
            known.clear();
        }
        known.extend(sizes);
    }

    /// What is known of the digests, which are wanted no more.
    fn take_known(&self, wanted: &mut BTreeSet<Digest>) -> HashMap<Digest, Option<u64>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found: HashMap<_, _> =
            wanted.iter().filter_map(|digest| Some((digest.clone(), *known.get(digest)?))).collect();
        wanted.retain(|digest| !found.contains_key(digest));
        found
    }
}

/// The page that begins with `first`, instead of the one behind the last: "result set will include values lexically after
/// last". Where few of many manifests are wanted, this saves the pages between.
fn after(mut page: Url, first: &Digest) -> Url {
    let Some(last) = before(first) else { return page };
    let pairs: Vec<(String, String)> = page.query_pairs().into_owned().collect();
    let pairs = pairs.into_iter().map(|(name, value)| match name.as_str() {
        "last" => (name, last.clone()),
        _ => (name, value),
    });
    page.query_pairs_mut().clear().extend_pairs(pairs);
    page
}

/// The text before a digest, in the order of digests; `None` before the first.
fn before(digest: &Digest) -> Option<String> {
    let hex = digest.hex();
    let kept = hex.trim_end_matches('0');
    let mut front = kept.to_owned();
    let lower = match front.pop()? {
        'a' => '9',
        digit => char::from_digit(digit.to_digit(16)?.checked_sub(1)?, 16)?,
    };
    let tail = "f".repeat(hex.len() - kept.len());
    Some(format!("{}:{front}{lower}{tail}", digest.algorithm().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(ends: &str) -> Digest {
        format!("sha256:{ends:0>64}").parse().unwrap()
    }

    #[test]
    fn the_digest_before_another_is_the_next_smaller_one() {
        for (hex, expected) in [("1", "0"), ("a", "9"), ("b0", "af"), ("100", "ff"), ("10a", "109")] {
            assert_eq!(before(&digest(hex)).as_deref(), Some(digest(expected).as_str()), "{hex}");
        }
        assert_eq!(before(&digest("0")), None);
    }

    #[test]
    fn only_the_place_in_a_query_is_moved() {
        let page: Url = "https://h/x?last=sha256%3A00&n=2&orderby=".parse().unwrap();
        let moved = after(page, &digest("b0"));
        let expected = format!("last=sha256%3A{:0>64}&n=2&orderby=", "af");
        assert_eq!(moved.query(), Some(expected.as_str()));
    }
}
