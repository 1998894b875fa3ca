//! What a driver with its own data plane has to do besides.

use regent_oci::{Digest, Reference, RepositoryName, Tag};
use regent_transport::Class;
use serde_json::Value;

use crate::driver::PageRequest;
use crate::dyn_driver::DynDriver;
use crate::error::Result;

/// Few enough that a blob of a test has several pieces.
const PIECE: usize = 16;
/// More pieces than a blob of a test has.
const MAX_PIECES: usize = 10_000;

/// Reads the configuration of an image, and what it breaks.
pub(super) async fn content(driver: &dyn DynDriver, repository: &RepositoryName) -> Result<Vec<String>> {
    let mut breaches = Vec::new();
    let tags = driver.tags(repository, PageRequest::first()).await?;
    let Some(tag) = tags.items.into_iter().next() else {
        return Ok(vec![format!("{repository} has no tag")]);
    };
    let Some(digest) = configuration(driver, repository, tag).await? else {
        return Ok(vec![
            "the manifest of the first tag names no configuration: script that of an image".to_owned(),
        ]);
    };
    // Two at once: each has a place of its own.
    let (first, second) =
        (driver.open_blob(repository, &digest).await?, driver.open_blob(repository, &digest).await?);
    if first == second {
        breaches.push("open_blob gives the same handle twice".to_owned());
    }
    let mut bytes = Vec::new();
    for _ in 0..MAX_PIECES {
        let piece = driver.read_blob(first, PIECE).await?;
        if piece.is_empty() {
            break;
        }
        if piece.len() > PIECE {
            breaches.push("read_blob gives more bytes than were asked for".to_owned());
        }
        bytes.extend_from_slice(&piece);
    }
    if digest.verify(&bytes).is_err() {
        breaches.push(format!("read_blob gives other bytes than those of {digest}"));
    }
    if driver.read_blob(second, PIECE).await?.is_empty() && !bytes.is_empty() {
        breaches.push("read_blob of one handle moves the place of another".to_owned());
    }
    driver.close_blob(first).await?;
    driver.close_blob(second).await?;
    if driver.read_blob(first, PIECE).await.is_ok() {
        breaches.push("read_blob reads a blob that was closed".to_owned());
    }
    let absent: Reference = "no-such-tag".parse().expect("it is a tag");
    match driver.manifest(repository, &absent).await {
        Err(error) if error.class() == Class::Absent => {}
        Err(error) => {
            breaches.push(format!("manifest of no tag is of class {:?}, not absent", error.class()));
        }
        Ok(_) => breaches.push("there is a manifest of a tag that there is not".to_owned()),
    }
    Ok(breaches)
}

async fn configuration(
    driver: &dyn DynDriver,
    repository: &RepositoryName,
    tag: Tag,
) -> Result<Option<Digest>> {
    let manifest = driver.manifest(repository, &Reference::Tag(tag)).await?;
    let document: Option<Value> = serde_json::from_slice(&manifest.bytes).ok();
    let digest = document.as_ref().and_then(|d| d.pointer("/config/digest")).and_then(Value::as_str);
    Ok(digest.and_then(|digest| digest.parse().ok()))
}
