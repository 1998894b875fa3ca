//! Archives in the shape of results.

use super::{JAR, Room, attribution};
use crate::application::{JarFingerprint, JarIdentity};
use crate::distil::{ArchiveContent, Coordinates};

/// Adds an archive and those in it.
pub(super) fn add(list: &mut Vec<JarFingerprint>, room: &mut Room, location: &str, content: &ArchiveContent) {
    add_at(list, room, location, content, 0);
}

/// As deep as archives were opened.
fn add_at(
    list: &mut Vec<JarFingerprint>,
    room: &mut Room,
    location: &str,
    content: &ArchiveContent,
    depth: u32,
) {
    // Others are containers: what they are themselves is not reported.
    if location.ends_with(JAR) {
        let fingerprint = fingerprint(location, content, depth);
        if !room.take(cost_bytes(&fingerprint)) {
            return;
        }
        list.push(fingerprint);
    }
    for nested in content.nested.iter().filter(|nested| nested.name.ends_with(JAR)) {
        add_at(list, room, &format!("{location}/{}", nested.name), &nested.archive, depth + 1);
    }
}

fn fingerprint(location: &str, content: &ArchiveContent, depth: u32) -> JarFingerprint {
    let artifacts: Vec<Coordinates> =
        content.artifacts.iter().filter(|artifact| !is_ignored(artifact)).cloned().collect();
    let own = attribution::of_location(location, &artifacts).and_then(|own| artifacts.get(own).cloned());
    let dependencies = artifacts.into_iter().filter(|artifact| own.as_ref() != Some(artifact)).collect();
    let identity = own.map_or_else(|| JarIdentity::Sha1(content.sha1.clone()), JarIdentity::Coordinates);
    JarFingerprint { location: location.to_owned(), depth, identity, dependencies }
}

fn cost_bytes(fingerprint: &JarFingerprint) -> usize {
    let own = match &fingerprint.identity {
        JarIdentity::Coordinates(own) => Some(own),
        JarIdentity::Sha1(_) => None,
    };
    let artifacts = own.into_iter().chain(&fingerprint.dependencies);
    size_of::<JarFingerprint>()
        + fingerprint.location.len()
        + artifacts.map(Coordinates::cost_bytes).sum::<usize>()
}

/// Whether results tell of it by its digest all the same: the scanner being replaced passes over what this driver says
/// of itself.
fn is_ignored(artifact: &Coordinates) -> bool {
    artifact.group == "com.microsoft.sqlserver" && artifact.artifact == "mssql-jdbc"
}
