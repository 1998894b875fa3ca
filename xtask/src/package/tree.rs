//! Files in memory, and the tar archive of them that is the same whoever writes it when: entries are sorted, all have one
//! time, and owners are what they are said to be.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

/// What ends up in an archive or a layer, by path. Folders above are made.
#[derive(Debug, Default)]
pub(super) struct Tree {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    content: Content,
    mode: u32,
    /// User and group.
    owner: u64,
}

/// What is at a path.
#[derive(Debug)]
pub(super) enum Content {
    /// A folder.
    Folder,
    /// A file.
    File(Vec<u8>),
    /// A symbolic link to there.
    Link(String),
}

impl Tree {
    /// Puts something of root's there. What was there before is replaced.
    pub(super) fn add(&mut self, path: &str, mode: u32, content: Content) {
        self.add_owned(path, mode, 0, content);
    }

    /// The same, of somebody else's.
    pub(super) fn add_owned(&mut self, path: &str, mode: u32, owner: u64, content: Content) {
        let mut above = path;
        while let Some((folder, _)) = above.rsplit_once('/') {
            let entry = Entry { content: Content::Folder, mode: 0o755, owner: 0 };
            self.entries.entry(folder.to_owned()).or_insert(entry);
            above = folder;
        }
        self.entries.insert(path.to_owned(), Entry { content, mode, owner });
    }

    /// Puts a file of this machine there.
    pub(super) fn add_copy(&mut self, path: &str, mode: u32, file: &Path) -> Result<()> {
        let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        self.add(path, mode, Content::File(bytes));
        Ok(())
    }

    /// The file there, links followed.
    pub(super) fn file(&self, path: &str) -> Option<&[u8]> {
        let mut path = path.trim_start_matches('/').to_owned();
        // A path may go through a few links; one that goes in circles ends.
        for _ in 0..16 {
            let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
            let mut links = ends.filter_map(|end| {
                let Content::Link(target) = &self.entries.get(path.get(..end)?)?.content else { return None };
                Some((end, target))
            });
            let Some((end, target)) = links.next() else { break };
            let (link, rest) = path.split_at(end);
            path = followed(link, target) + rest;
        }
        match &self.entries.get(&path)?.content {
            Content::File(bytes) => Some(bytes),
            Content::Folder | Content::Link(_) => None,
        }
    }

    /// The tar archive.
    pub(super) fn tar(&self, epoch: u64) -> Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, entry) in &self.entries {
            let mut header = Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_uid(entry.owner);
            header.set_gid(entry.owner);
            header.set_mtime(epoch);
            header.set_size(0);
            match &entry.content {
                Content::Folder => {
                    header.set_entry_type(EntryType::Directory);
                    archive.append_data(&mut header, format!("{path}/"), [].as_slice())
                }
                Content::File(bytes) => {
                    header.set_entry_type(EntryType::Regular);
                    header.set_size(bytes.len().try_into()?);
                    archive.append_data(&mut header, path, bytes.as_slice())
                }
                Content::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    archive.append_link(&mut header, path, target)
                }
            }
            .with_context(|| format!("writing {path}"))?;
        }
        Ok(archive.into_inner()?)
    }
}

/// Where a link leads; paths have no slash in front.
fn followed(link: &str, target: &str) -> String {
    let mut parts: Vec<&str> = if target.starts_with('/') { Vec::new() } else { link.split('/').collect() };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// Compressed, without a name or a time in it.
pub(super) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    // 255: of no system.
    let mut packer =
        GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::default());
    packer.write_all(bytes)?;
    Ok(packer.finish()?)
}

/// Adds the files below a folder of this machine.
pub(super) fn add_folder(tree: &mut Tree, path: &str, folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            bail!("{} has a name that is no text", entry.path().display())
        };
        let path = format!("{path}/{name}");
        if entry.file_type()?.is_dir() {
            add_folder(tree, &path, &entry.path())?;
        } else {
            tree.add_copy(&path, 0o644, &entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_the_same_in_whatever_order_things_were_added() {
        let files = ["b/two", "a", "b/one", "b-c"];
        let mut archives = Vec::new();
        for order in [[0, 1, 2, 3], [3, 2, 1, 0]] {
            let mut tree = Tree::default();
            for n in order {
                tree.add(files[n], 0o644, Content::File(files[n].into()));
            }
            tree.add_owned("b/link", 0o777, 7, Content::Link("../a".to_owned()));
            assert_eq!(tree.file("b/link"), Some(b"a".as_slice()));
            archives.push(tree.tar(1_700_000_000).unwrap());
        }
        assert_eq!(archives[0], archives[1]);
        let mut archive = tar::Archive::new(archives[0].as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let header = entry.unwrap().header().clone();
            let path = header.path().unwrap().to_str().unwrap().to_owned();
            seen.push((path, header.uid().unwrap(), header.mtime().unwrap()));
        }
        let paths: Vec<&str> = seen.iter().map(|(path, ..)| path.as_str()).collect();
        assert_eq!(paths, ["a", "b/", "b-c", "b/link", "b/one", "b/two"]);
        assert!(
            seen.iter().all(|(path, uid, time)| *time == 1_700_000_000 && (*uid == 7) == (path == "b/link"))
        );
    }

    #[test]
    fn links_are_followed_within_the_tree() {
        for (link, target, expected) in [
            ("lib64/ld.so", "/lib/x/ld.so", "lib/x/ld.so"),
            ("lib64/ld.so", "../lib/x/ld.so", "lib/x/ld.so"),
            ("lib/libc.so", "libc-2.so", "lib/libc-2.so"),
            ("a", "../../b", "b"),
        ] {
            assert_eq!(followed(link, target), expected, "{link} → {target}");
        }
        let mut tree = Tree::default();
        tree.add("a", 0o777, Content::Link("a".to_owned()));
        tree.add("lib64", 0o777, Content::Link("usr/lib64".to_owned()));
        tree.add("usr/lib64/ld.so", 0o777, Content::Link("../lib/ld.so".to_owned()));
        tree.add("usr/lib/ld.so", 0o755, Content::File(b"loader".into()));
        assert_eq!(tree.file("a"), None, "in circles");
        assert_eq!(tree.file("/lib64/ld.so"), Some(b"loader".as_slice()));
        assert_eq!(tree.file("/lib64"), None);
    }
}
