//! Disks that get full and that fail, for an agent's data. They take root.
//!
//! A disk is mounted in a mount namespace of its own, which a process holds: the agent is started in that namespace
//! ([`Disk::launcher`]), and nobody else sees the disk. It is gone when its holder is.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Process;

/// A mounted disk.
#[derive(Debug)]
pub struct Disk {
    holder: Process,
    folder: tempfile::TempDir,
}

impl Disk {
    /// One in memory, of this size.
    pub async fn in_memory(mebibytes: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::mounted(folder, &format!("mount -t tmpfs -o size={mebibytes}m,mode=700 tmpfs")).await
    }

    /// One that can fail as real ones do: ext4 in a file of this size.
    pub async fn in_file(mebibytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        File::create(&image).unwrap().set_len(mebibytes << 20).unwrap();
        run(Command::new("/usr/sbin/mkfs.ext4").args(["-q", "-m", "0"]).arg(&image));
        let mount = format!("mount -o loop {}", image.display());
        Self::mounted(folder, &mount).await
    }

    async fn mounted(folder: tempfile::TempDir, mount: &str) -> Self {
        let point = folder.path().join("disk");
        std::fs::create_dir(&point).unwrap();
        let script = format!("{mount} {} && echo mounted && exec sleep 86400", point.display());
        let mut holder =
            Process::start("disk", Command::new("unshare").args(["--mount", "sh", "-c", &script]));
        holder.wait_for(async |holder| holder.ended().is_some() || holder.output().contains("mounted")).await;
        assert!(holder.ended().is_none(), "no disk (mounts take root): {}", holder.output());
        Self { holder, folder }
    }

    /// What starts a program where the disk is seen.
    pub fn launcher(&self) -> Vec<String> {
        ["nsenter", "--target", &self.holder.pid().as_raw_nonzero().to_string(), "--mount", "--"]
            .map(str::to_owned)
            .to_vec()
    }

    /// Where it is mounted, for those who see it.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Where it is for everyone else.
    pub fn seen_from_outside(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.pid().as_raw_nonzero()));
        root.join(self.path().strip_prefix("/").unwrap())
    }

    /// Leaves no byte free.
    ///
    /// # Panics
    /// When that can't be done.
    pub fn fill(&self) {
        let mut file = File::create(self.ballast()).unwrap();
        for piece in [1 << 20, 4096, 1] {
            let piece = vec![0_u8; piece];
            while file.write_all(&piece).is_ok() {}
        }
    }

    /// Makes room again.
    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    /// From now on nothing can be written, as when the kernel gives up a disk that fails; what was written and not synced
    /// is lost. For [`Disk::in_file`].
    pub fn fail(&self) {
        self.inside(&format!("mount -o remount,abort {}", self.path().display()));
    }

    /// Another disk with the same content. Nobody may have a file on it open.
    pub fn replace(&self) {
        let (image, point) = (self.folder.path().join("image"), self.path());
        self.inside(&format!("umount {}", point.display()));
        // The journal has to be played, and the mark of the failure taken away; it answers 1 for what it has mended.
        let status = Command::new("/usr/sbin/e2fsck").args(["-p", "-f"]).arg(&image).status().unwrap();
        assert!(status.code().is_some_and(|code| code <= 1), "e2fsck: {status}");
        self.inside(&format!("mount -o loop {} {}", image.display(), point.display()));
    }

    fn ballast(&self) -> PathBuf {
        self.seen_from_outside().join("ballast")
    }

    fn inside(&self, script: &str) {
        let words = self.launcher();
        run(Command::new(&words[0]).args(&words[1..]).args(["sh", "-c", script]));
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// Overwrites a part of a file.
pub fn overwrite(file: &Path, offset: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt as _;
    File::options().write(true).open(file).unwrap().write_all_at(bytes, offset).unwrap();
}
