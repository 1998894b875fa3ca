//! `cargo xtask freeze-api`: keeps the plugin API of a version as source, in `tests/api`.
//!
//! What is kept is what becomes part of a driver that is built with that version, and the host's side of it: the crates
//! `regent-oci`, `regent-transport` and `regent-plugin-api` without tests and test kit, with the versions that they
//! depend on written out. `tests/api/README.md` says what it is for.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use toml::{Table, Value};

use crate::command::workspace;

/// The crates: folder in `tests/api/<version>`, folder in the workspace.
const CRATES: [(&str, &str); 3] =
    [("oci", "core/oci"), ("transport", "core/transport"), ("plugin-api", "plugin-api")];
/// The driver, built with the frozen API and with today's.
const DRIVERS: [&str; 2] = ["driver", "driver-today"];
/// The test kit is no part of a driver.
const TEST_KIT: &str = "testkit";
/// In the build script of the API: what `abi_stable` compares.
const PACKAGE: &str =
    "    // Layouts name the package that their types are of: here, the one that was released.
    println!(\"cargo::rustc-env=CARGO_PKG_NAME=regent-plugin-api\");
";
/// Neither a newer compiler nor a newer clippy has anything to say about what is not changed any more.
const LINTS: &str = "
[lints.rust]
dead_code = \"allow\"

[lints.clippy]
all = { level = \"allow\", priority = -1 }
";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Take a version anew that is frozen already: one that nobody has yet.
    #[arg(long)]
    again: bool,
}

/// Writes `tests/api/<major>.<minor>`.
///
/// # Errors
/// The version is frozen already.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let manifest = manifest_of(&workspace().join("plugin-api"))?;
    let version = text(&manifest, &["package", "version"])?;
    let minor = version.rsplit_once('.').map(|(minor, _)| minor).context("a version has three numbers")?;
    let folder = workspace().join("tests/api").join(minor);
    if folder.exists() && !arguments.again {
        bail!("{} is frozen: a change that it does not take is one for another version", folder.display());
    }
    for (name, source) in CRATES {
        freeze(minor, name, &workspace().join(source), &folder.join(name))?;
    }
    if !folder.join("driver").exists() {
        driver_of_version_before(minor, &folder)?;
    }
    println!("{}: see tests/api/README.md for what is left to do", folder.display());
    Ok(())
}

fn freeze(minor: &str, name: &str, source: &Path, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    copy_sources(&source.join("src"), &folder.join("src"))?;
    let build = source.join("build.rs");
    if build.exists() {
        let text = fs::read_to_string(build)?;
        let first = "    println!(\"cargo::rerun-if-changed=build.rs\");\n";
        if !text.contains(first) {
            bail!("the build script has no place to name the package in");
        }
        fs::write(folder.join("build.rs"), text.replace(first, &format!("{first}{PACKAGE}")))?;
    }
    let versions = manifest_of(&workspace())?;
    let text = manifest(minor, name, &manifest_of(source)?, &versions)?;
    fs::write(folder.join("Cargo.toml"), text)?;
    Ok(())
}

fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if stem == TEST_KIT || stem == "tests" {
            continue;
        }
        if path.is_dir() {
            copy_sources(&path, &to.join(name))?;
        } else {
            fs::write(to.join(name), without_tests(&fs::read_to_string(&path)?))?;
        }
    }
    // A folder in which there were only tests.
    if fs::read_dir(to)?.next().is_none() {
        fs::remove_dir(to)?;
    }
    Ok(())
}

/// Tests stand at the end of a file, or in one of their own.
fn without_tests(text: &str) -> String {
    let kept = text.replace("\n#[cfg(test)]\nmod tests;\n", "").replace("pub mod testkit;\n", "");
    match kept.split_once("\n#[cfg(test)]\nmod tests {") {
        Some((code, _)) => code.to_owned(),
        None => kept,
    }
}

/// The manifest, with the workspace's versions in place of references to them.
fn manifest(minor: &str, name: &str, manifest: &Table, versions: &Table) -> Result<String> {
    let mut out = format!(
        "# Frozen by `cargo xtask freeze-api`: tests/api/README.md says what this is.\n\
         [package]\n\
         name = \"{}\"\n\
         description = \"{}, as of plugin API {minor}\"\n\
         version = \"{}\"\n\
         edition = \"{}\"\n\
         rust-version.workspace = true\n\
         license.workspace = true\n\
         repository.workspace = true\n\
         publish = false\n\
         \n\
         [lib]\n\
         test = false\n\
         bench = false\n\
         doctest = false\n\
         doc = false\n",
        package(minor, name),
        text(manifest, &["package", "name"])?,
        text(manifest, &["package", "version"])?,
        text(versions, &["workspace", "package", "edition"])?,
    );
    let shared = table(versions, &["workspace", "dependencies"])?;
    out.push_str("\n[dependencies]\n");
    for (dependency, wanted) in table(manifest, &["dependencies"])? {
        let frozen = CRATES.iter().find(|(own, _)| *dependency == format!("regent-{own}"));
        let line = match frozen {
            Some((own, _)) => format!("{{ package = \"{}\", path = \"../{own}\" }}", package(minor, own)),
            None => requirement(dependency, wanted, shared)?,
        };
        writeln!(out, "{dependency} = {line}")?;
    }
    if let Ok(features) = table(manifest, &["features"]) {
        out.push_str("\n[features]\n");
        for (feature, of) in features {
            writeln!(out, "{feature} = {}", inline(of))?;
        }
    }
    out.push_str(LINTS);
    Ok(out)
}

/// What is required of a dependency, as one line: the workspace's word on it and the crate's own.
fn requirement(dependency: &str, wanted: &Value, shared: &Table) -> Result<String> {
    let of_crate = match wanted {
        Value::Table(table) if table.contains_key("workspace") => {
            let shared = shared.get(dependency).with_context(|| format!("{dependency} has no version"))?;
            let mut both = match shared {
                Value::Table(shared) => shared.clone(),
                version => Table::from_iter([("version".to_owned(), version.clone())]),
            };
            both.extend(
                table.iter().filter(|(key, _)| *key != "workspace").map(|(k, v)| (k.clone(), v.clone())),
            );
            Value::Table(both)
        }
        other => other.clone(),
    };
    Ok(inline(&of_crate))
}

/// A value on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let pairs: Vec<_> =
                table.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Boolean(flag) => flag.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(_) | Value::Datetime(_) => unreachable!("no manifest has such a value"),
    }
}

/// The driver of the version before, under its new name: whoever freezes lets it use what is new.
fn driver_of_version_before(minor: &str, folder: &Path) -> Result<()> {
    let mut before: Vec<_> = fs::read_dir(workspace().join("tests/api"))?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter_map(|name| {
            let (major, number) = name.split_once('.')?;
            Some((major.parse::<u32>().ok()?, number.parse::<u32>().ok()?, name.clone()))
        })
        .filter(|(_, _, name)| name != minor)
        .collect();
    before.sort_unstable();
    let Some((_, _, last)) = before.pop() else { return Ok(()) };
    let renamed = |text: &str| text.replace(&package(&last, ""), &package(minor, ""));
    for driver in DRIVERS {
        for file in ["Cargo.toml", "src/lib.rs"] {
            let from = workspace().join("tests/api").join(&last).join(driver).join(file);
            let to = folder.join(driver).join(file);
            if from.exists() {
                fs::create_dir_all(to.parent().unwrap_or(folder))?;
                fs::write(to, renamed(&fs::read_to_string(from)?))?;
            }
        }
    }
    Ok(())
}

/// The name of a frozen crate.
fn package(minor: &str, name: &str) -> String {
    format!("frozen-{}-{name}", minor.replace('.', "-"))
}

fn manifest_of(folder: &Path) -> Result<Table> {
    let path = folder.join("Cargo.toml");
    toml::from_str(&fs::read_to_string(&path)?).with_context(|| format!("reading {}", path.display()))
}

fn table<'a>(table: &'a Table, path: &[&str]) -> Result<&'a Table> {
    let mut at = table;
    for key in path {
        at = at
            .get(*key)
            .and_then(Value::as_table)
            .with_context(|| format!("there is no {}", path.join(".")))?;
    }
    Ok(at)
}

fn text<'a>(of: &'a Table, path: &[&str]) -> Result<&'a str> {
    let (last, path_to) = path.split_last().context("an empty path")?;
    let found = table(of, path_to)?.get(*last).and_then(Value::as_str);
    found.with_context(|| format!("there is no {}", path.join(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_kept_and_tests_are_not() {
        let rows = [
            ("//! A.\n\nmod b;\n\n#[cfg(test)]\nmod tests;\n", "//! A.\n\nmod b;\n"),
            (
                "//! A.\n\nfn b() {}\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n",
                "//! A.\n\nfn b() {}\n",
            ),
            ("mod native;\npub mod testkit;\n\npub use a::A;\n", "mod native;\n\npub use a::A;\n"),
        ];
        for (text, kept) in rows {
            assert_eq!(without_tests(text), kept);
        }
    }

    #[test]
    fn versions_are_written_out() {
        let shared: Table =
            toml::from_str("a = \"1.2\"\nb = { version = \"=3\", default-features = false }").unwrap();
        let wanted: Table = toml::from_str(
            "a.workspace = true\nb = { workspace = true, optional = true }\nc = \"4\"\nd = { workspace = true }",
        )
        .unwrap();
        let rows = [
            ("a", "{ version = \"1.2\" }"),
            ("b", "{ version = \"=3\", default-features = false, optional = true }"),
            ("c", "\"4\""),
        ];
        for (name, expected) in rows {
            assert_eq!(requirement(name, &wanted[name], &shared).unwrap(), expected);
        }
        assert!(requirement("d", &wanted["d"], &shared).is_err(), "the workspace has no such version");
    }
}
