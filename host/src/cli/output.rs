//! Where data goes.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::Failure;

/// Writes a command's data: to standard output, or to a file. A regular or new file gets its content at once, by
/// renaming; a device or pipe is written directly.
pub(super) fn write(target: Option<&Path>, data: &[u8]) -> Result<(), Failure> {
    write_with(target, |out| out.write_all(data))
}

/// The same for data that is not there as a whole.
pub(super) fn write_with(
    target: Option<&Path>,
    data: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    match target {
        None => {
            let mut out = BufWriter::new(io::stdout().lock());
            match data(&mut out).and_then(|()| out.flush()) {
                // The reader has seen enough (`| head`): no failure of ours.
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                other => Ok(other?),
            }
        }
        Some(path) => write_file(path, data)
            .map_err(|e| Failure::other(format!("{} can't be written: {e}", path.display()))),
    }
}

fn write_file(path: &Path, data: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => {
            let mut out = BufWriter::new(fs::OpenOptions::new().write(true).open(path)?);
            data(&mut out)?;
            out.flush()
        }
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => {
            let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let file = tempfile::Builder::new()
                .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
                .tempfile_in(directory)?;
            let mut out = BufWriter::new(file);
            data(&mut out)?;
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.persist(path).map_err(|e| e.error)?;
            Ok(())
        }
    }
}

/// Says something about a command that is no data.
#[expect(clippy::print_stderr, reason = "standard error is where this belongs")]
pub(super) fn say(line: impl std::fmt::Display) {
    eprintln!("{line}");
}

/// Says why a command failed.
pub(super) fn complain(failure: &Failure) {
    say(format_args!("regent: {failure}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_a_device_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("result.json");
        write(Some(&file), b"one").unwrap();
        write(Some(&file), b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        write(Some(Path::new("/dev/null")), b"gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let failure = write(Some(&folder.path().join("no/such/folder")), b"x").unwrap_err();
        assert!(failure.to_string().contains("can't be written"), "{failure}");
    }
}
