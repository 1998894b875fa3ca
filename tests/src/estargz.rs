//! The real writer of eStargz: `tests/estargz` on the sources of Debian's package.

use std::process::Command;

use regent_oci::Digest;

use crate::artifacts::{target, workspace};

/// A layer, and what a manifest says of it.
#[derive(Debug)]
pub struct Estargz {
    /// As it is stored.
    pub bytes: Vec<u8>,
    /// The digest of its table of contents.
    pub toc: Digest,
}

/// Writes a tar archive as such a layer.
///
/// # Panics
/// When Go or the sources are not there, or the archive is none.
pub fn estargz(tar: &[u8]) -> Estargz {
    let folder = tempfile::tempdir().unwrap();
    let [writer, archive, layer] = ["writer", "tar", "layer"].map(|name| folder.path().join(name));
    // As Debian builds: by the sources that its packages have, and no network.
    run(Command::new("go")
        .args(["build", "-o"])
        .args([&writer, &workspace().join("tests/estargz/main.go")])
        .env("GO111MODULE", "off")
        .env("GOPATH", "/usr/share/gocode")
        .env("GOCACHE", target().join("estargz")));
    std::fs::write(&archive, tar).unwrap();
    let toc = run(Command::new(writer).args([&archive, &layer]));
    Estargz { bytes: std::fs::read(layer).unwrap(), toc: toc.trim().parse().unwrap() }
}

fn run(command: &mut Command) -> String {
    let output =
        command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; `cargo xtask test` installs Go"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
