//! What is in the image below the program: of Debian's packages what a program needs to run, the authorities that are
//! trusted, a user, and places to write.
//!
//! No shell, no package manager. What is taken of a package is noted in `var/lib/dpkg/status.d`, as it is in other images
//! made of packages, so that scanners know it and tell its vulnerabilities.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::package::debian::{Archive, Package};
use crate::package::platform::Platform;
use crate::package::tree::{Content, Tree};

/// The user and group that the agent runs as: one that no distribution gives to anybody.
pub(super) const USER: u64 = 65532;
/// Where the agent keeps what has to last.
pub(super) const DATA: &str = "data";

/// The packages, and what is taken of them: all below these paths. Each brings its copyright, too.
const PACKAGES: [(&str, &[&str]); 4] = [
    // Which distribution this is, and the licences that the others name.
    (
        "base-files",
        &["etc/debian_version", "etc/os-release", "usr/lib/os-release", "usr/share/common-licenses/"],
    ),
    ("ca-certificates", &[]),
    ("libc6", &["etc/ld.so.conf.d/", "lib", "usr/lib"]),
    ("libgcc-s1", &["lib", "usr/lib"]),
];
/// Of these libraries nothing is taken: the program converts no character sets, and is not debugged in there.
const LEFT_OUT: [&str; 2] = ["/gconv/", "/audit/"];

/// Whom names are asked of: without it the C library looks into `/etc/hosts` last.
const NAMES: &str = "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n";
const PASSWD: &str = "root:x:0:0:root:/root:/sbin/nologin\n\
                      regent:x:65532:65532:regent:/data:/sbin/nologin\n\
                      nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nregent:x:65532:\nnogroup:x:65534:\n";
/// Authorities, one file each, and the bundle that programs look for.
const AUTHORITIES: &str = "usr/share/ca-certificates/";
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// The layer below the program. Returns what it is made of as well: names and versions.
pub(super) fn tree(archive: &Archive) -> Result<(Tree, Vec<String>)> {
    let mut tree = Tree::default();
    let mut made_of = Vec::new();
    let mut licences = None;
    for (name, paths) in PACKAGES {
        let package = archive.package(name)?;
        if name == "ca-certificates" {
            tree.add(BUNDLE, 0o644, Content::File(bundle(&package)?));
        }
        if name == "libgcc-s1" {
            licences = Some(package_with_licence(&package)?);
        }
        made_of.push(take(&mut tree, package, paths));
    }
    // libgcc-s1 has its copyright there, by a link.
    let licences = archive.package(&licences.context("libgcc-s1 was not looked at")?)?;
    made_of.push(take(&mut tree, licences, &[]));

    for (path, text) in [("etc/nsswitch.conf", NAMES), ("etc/passwd", PASSWD), ("etc/group", GROUP)] {
        tree.add(path, 0o644, Content::File(text.into()));
    }
    tree.add("tmp", 0o1777, Content::Folder);
    tree.add_owned(DATA, 0o700, USER, Content::Folder);
    Ok((tree, made_of))
}

/// Puts what is wanted of a package into the tree, and notes it there as installed.
fn take(tree: &mut Tree, package: Package, paths: &[&str]) -> String {
    let Package { name, control, sums, files } = package;
    let version = control.lines().find_map(|line| line.strip_prefix("Version: ")).unwrap_or_default();
    let made_of = format!("{name} {version}");
    let documents = format!("usr/share/doc/{name}");
    let is_wanted = |path: &str, content: &Content| {
        let is_library = paths.iter().any(|wanted| path.starts_with(wanted));
        let is_licence = path == documents || path == format!("{documents}/copyright");
        // Debian's newer releases have /lib and its like as links into /usr, in base-files.
        let is_merged = !path.contains('/') && matches!(content, Content::Link(_));
        is_licence || is_merged || (is_library && !LEFT_OUT.iter().any(|out| path.contains(out)))
    };
    let mut taken = Vec::new();
    for (path, (mode, content)) in files {
        if is_wanted(&path, &content) {
            tree.add(&path, mode & 0o755, content);
            taken.push(path);
        }
    }
    let is_taken =
        |line: &&str| line.split_once("  ").is_some_and(|(_, path)| taken.iter().any(|one| one == path));
    let sums: String = sums.lines().filter(is_taken).flat_map(|line| [line, "\n"]).collect();
    let note = format!("var/lib/dpkg/status.d/{name}");
    tree.add(&format!("{note}.md5sums"), 0o644, Content::File(sums.into()));
    tree.add(&note, 0o644, Content::File(format!("{}\n", control.trim_end()).into()));
    made_of
}

/// The package that has the copyright of `libgcc-s1`: its name has the version of gcc.
fn package_with_licence(package: &Package) -> Result<String> {
    let depends = package.field("Depends").unwrap_or_default();
    let mut names = depends.split(',').filter_map(|one| one.split_whitespace().next());
    let base = names.find(|name| name.starts_with("gcc-") && name.ends_with("-base"));
    Ok(base.with_context(|| format!("{} depends on no gcc-…-base: {depends}", package.name))?.to_owned())
}

/// All authorities of the package in one file, as `update-ca-certificates` makes it.
fn bundle(package: &Package) -> Result<Vec<u8>> {
    let mut bundle = Vec::new();
    for (path, (_, content)) in &package.files {
        let Content::File(bytes) = content else { continue };
        if path.starts_with(AUTHORITIES) && Path::new(path).extension().is_some_and(|one| one == "crt") {
            bundle.extend_from_slice(bytes);
            if !bytes.ends_with(b"\n") {
                bundle.push(b'\n');
            }
        }
    }
    if bundle.is_empty() {
        bail!("{} has no certificates below {AUTHORITIES}", package.name);
    }
    Ok(bundle)
}

/// Fails where a program or library needs one that is not in the tree.
pub(super) fn holds_what_is_needed(tree: &Tree, platform: &Platform, program: &Path) -> Result<()> {
    let output =
        Command::new("readelf").args(["--dynamic", "--program-headers", "--wide"]).arg(program).output()?;
    let text = String::from_utf8(output.stdout)?;
    let needed = needed(&text);
    if needed.is_empty() {
        bail!(
            "readelf names nothing that {} needs: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    for library in needed {
        let places = [format!("lib/{}", platform.name), format!("usr/lib/{}", platform.name)];
        let is_there = match library.strip_prefix('/') {
            Some(path) => tree.file(path).is_some(),
            None => places.iter().any(|folder| tree.file(&format!("{folder}/{library}")).is_some()),
        };
        if !is_there {
            bail!("{} needs {library}, which no package of the image has", program.display());
        }
    }
    Ok(())
}

/// The libraries by name, and the loader by its path.
fn needed(readelf: &str) -> Vec<&str> {
    let between = |line: &str, start: &str, end: char| -> Option<(usize, usize)> {
        let from = line.find(start)? + start.len();
        Some((from, from + line.get(from..)?.find(end)?))
    };
    let name = |line: &'_ str| -> Option<(usize, usize)> {
        let library = between(line, "Shared library: [", ']').filter(|_| line.contains("(NEEDED)"));
        library.or_else(|| between(line, "Requesting program interpreter: ", ']'))
    };
    readelf.lines().filter_map(|line| name(line).and_then(|(from, to)| line.get(from..to))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_needs_is_read_of_readelf() {
        let said = "  INTERP  0x000318 0x0318 0x0318 0x00001c 0x00001c R   0x1\n      \
                    [Requesting program interpreter: /lib64/ld-linux-x86-64.so.2]\n \
                    0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]\n \
                    0x000000000000000e (SONAME)             Library soname: [libregent.so]\n";
        assert_eq!(needed(said), ["/lib64/ld-linux-x86-64.so.2", "libc.so.6"]);
    }

    #[test]
    fn a_bundle_has_each_certificate_on_lines_of_its_own() {
        let mut package = Package {
            name: "ca-certificates".to_owned(),
            control: String::new(),
            sums: String::new(),
            files: std::collections::BTreeMap::new(),
        };
        bundle(&package).unwrap_err();
        for (name, text) in [("b.crt", "two\n"), ("a.crt", "one"), ("README", "no")] {
            let content = Content::File(text.into());
            package.files.insert(format!("usr/share/ca-certificates/mozilla/{name}"), (0o644, content));
        }
        assert_eq!(bundle(&package).unwrap(), b"one\ntwo\n");
    }
}
