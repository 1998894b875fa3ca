//! Running other programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The workspace's folder.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Cargo's target folder: the one asked for by the environment, else the workspace's.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// The cargo that runs us, as if it were called from a shell: what it has told this program of its own crate stays out.
/// Build scripts that watch those variables (ring's does) would build anew at each change between the two.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Where cargo keeps the sources of dependencies.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    let home = || std::env::home_dir().map(|home| home.join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

/// What the compiler answers to a question about itself.
pub(crate) fn rustc_says(question: &[&str]) -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(question).output().context("rustc can't be started")?;
    if !output.status.success() {
        bail!("rustc {} ended with {}", question.join(" "), output.status);
    }
    String::from_utf8(output.stdout).context("rustc does not answer in UTF-8")
}

/// Runs a command to its end, saying which.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|w| w.to_string_lossy().into_owned())
        .collect();
    eprintln!("$ {}", words.join(" "));
    let status = command.status().with_context(|| format!("{} can't be started", words.join(" ")))?;
    if !status.success() {
        bail!("{} ended with {status}", words.join(" "));
    }
    Ok(())
}

/// Whether a program is on the path, or there is a file at this one where it is absolute.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps some servers where an ordinary user's path does not look.
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(program).is_file())
}

/// The driver crates: the folders of `plugins/`, in order.
pub(crate) fn drivers() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(workspace().join("plugins"))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Puts the built driver libraries of a profile where the program built beside them looks first: `plugins`.
pub(crate) fn stage_plugins(profile_folder: &Path) -> Result<PathBuf> {
    let plugins = profile_folder.join("plugins");
    std::fs::create_dir_all(&plugins)?;
    for driver in drivers()? {
        let library = format!("libregent_driver_{}.so", driver.replace('-', "_"));
        let part = plugins.join(format!(".{library}.part"));
        std::fs::copy(profile_folder.join(&library), &part).with_context(|| format!("copying {library}"))?;
        std::fs::rename(&part, plugins.join(&library))?;
    }
    Ok(plugins)
}
