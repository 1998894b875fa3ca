//! `cargo xtask new-driver`: a crate from `plugin-api/template`.
//!
//! The template is one for `cargo generate` as well, so what is filled in has its form: `{{driver}}`, and `{{project-name}}`
//! and `{{crate_name}}`, which `cargo generate` knows by itself.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::command::workspace;

/// What a crate is made of.
const FILES: [&str; 5] = [".gitignore", "Cargo.toml", "README.md", "src/lib.rs", "tests/contract.rs"];
/// The longest name: `export_driver!` takes 32 characters.
const MAX_NAME: usize = 32;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Short name of the driver: lower case letters, digits and hyphens. Its connections have the type NAME-cr.
    name: String,
    /// Where to put a crate that stands alone. Without it, it becomes plugins/NAME, a part of this workspace.
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
}

/// Writes the crate.
///
/// # Errors
/// A name that is none; a folder that is there already.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let name = arguments.name.as_str();
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !plain || !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.len() > MAX_NAME {
        bail!("{name:?} is no name of a driver: lower case letters, digits and hyphens, at most {MAX_NAME}");
    }
    let own = workspace().join("plugins").join(name);
    let folder = arguments.path.as_ref().unwrap_or(&own);
    if folder.exists() {
        bail!("{} is there already", folder.display());
    }
    let template = workspace().join("plugin-api/template");
    for file in FILES {
        let text =
            fs::read_to_string(template.join(file)).with_context(|| format!("the template's {file}"))?;
        let text = match (file, &arguments.path) {
            ("Cargo.toml", None) => in_workspace(&text),
            ("Cargo.toml", Some(_)) => from_paths(&text, &workspace()),
            (".gitignore", None) => continue,
            _ => text,
        };
        let target = folder.join(file);
        fs::create_dir_all(target.parent().unwrap_or(folder))?;
        fs::write(target, filled(&text, name))?;
    }
    println!(
        "{}: change src/lib.rs and the script in tests/contract.rs; docs/drivers.md says how",
        folder.display()
    );
    Ok(())
}

/// Fills in what differs from driver to driver.
fn filled(text: &str, name: &str) -> String {
    let package = format!("regent-driver-{name}");
    text.replace("{{driver}}", name)
        .replace("{{crate_name}}", &package.replace('-', "_"))
        .replace("{{project-name}}", &package)
}

/// The manifest of a member of the workspace: versions and lints are the workspace's, and so are profiles.
fn in_workspace(manifest: &str) -> String {
    let kept = manifest.split("\n# Small").next().unwrap_or_default();
    kept.replace("edition = \"2024\"", "edition.workspace = true")
        .replace(
            "rust-version = \"1.95\"",
            "rust-version.workspace = true\nlicense.workspace = true\nrepository.workspace = true",
        )
        .replace("[lib]", "[lints]\nworkspace = true\n\n[lib]")
        .replace("regent-distribution = \"0.1\"", "regent-distribution.workspace = true")
        .replace("regent-plugin-api = \"1\"", "regent-plugin-api.workspace = true")
        .replace("{ version = \"1\",", "{ workspace = true,")
}

/// The manifest of a crate elsewhere, for which the crates of this very workspace are taken.
fn from_paths(manifest: &str, workspace: &Path) -> String {
    let path = |folder: &str| format!("path = {:?}", workspace.join(folder).display().to_string());
    manifest
        .replace("= \"0.1\"\n", &format!("= {{ version = \"0.1\", {} }}\n", path("core/distribution")))
        .replace(
            "regent-plugin-api = \"1\"",
            &format!("regent-plugin-api = {{ version = \"1\", {} }}", path("plugin-api")),
        )
        .replace(
            "{ version = \"1\", features",
            &format!("{{ version = \"1\", {}, features", path("plugin-api")),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_the_template_is_filled_in_and_nothing_else_is_in_it() {
        let template = workspace().join("plugin-api/template");
        let mut found: Vec<_> = Vec::new();
        for folder in ["", "src", "tests"] {
            for entry in fs::read_dir(template.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    found.push(path.strip_prefix(&template).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        let mut expected = FILES.map(str::to_owned).to_vec();
        expected.push("cargo-generate.toml".to_owned());
        expected.sort();
        assert_eq!(found, expected);
        for file in FILES {
            let text = filled(&fs::read_to_string(template.join(file)).unwrap(), "acme");
            assert!(!text.contains("{{") && !text.contains("}}"), "{file}: {text}");
        }
    }

    #[test]
    fn a_manifest_has_the_workspaces_versions_or_its_paths() {
        let manifest = fs::read_to_string(workspace().join("plugin-api/template/Cargo.toml")).unwrap();
        let member: toml::Table = toml::from_str(&filled(&in_workspace(&manifest), "acme")).unwrap();
        assert_eq!(member["dependencies"]["regent-plugin-api"]["workspace"].as_bool(), Some(true));
        assert_eq!(member["dev-dependencies"]["regent-plugin-api"]["workspace"].as_bool(), Some(true));
        assert!(!member.contains_key("profile"));
        let alone: toml::Table =
            toml::from_str(&filled(&from_paths(&manifest, Path::new("/regent")), "acme")).unwrap();
        assert_eq!(alone["package"]["name"].as_str(), Some("regent-driver-acme"));
        for (section, name, path) in [
            ("dependencies", "regent-distribution", "/regent/core/distribution"),
            ("dependencies", "regent-plugin-api", "/regent/plugin-api"),
            ("dev-dependencies", "regent-plugin-api", "/regent/plugin-api"),
        ] {
            assert_eq!(alone[section][name]["path"].as_str(), Some(path), "{section} {name}");
        }
    }

    #[test]
    fn what_is_no_name_of_a_driver_is_refused() {
        for name in ["", "Acme", "a_b", "-a", "1a", "a b", &"a".repeat(33)] {
            let arguments = Arguments { name: name.to_owned(), path: Some("/nowhere".into()) };
            assert!(run(&arguments).unwrap_err().to_string().contains("no name of a driver"), "{name}");
        }
    }
}
