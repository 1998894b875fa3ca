//! Images made to hurt the scanner: each ends in a result with a warning, or in an error that names the limit, and none
//! needs more than 256 MiB.

#[path = "hostile_images/archives.rs"]
mod archives;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use regent_tests::artifacts::{plugin_directory, regent};
use regent_tests::image::{Compression, Flavor, ImageBuilder, Layer, debian_layer};
use serde_json::Value;

/// What a scan may need at most, in KiB.
const MAX_RESIDENT_KIB: u64 = 256 << 10;

/// How a scan has to end.
enum End {
    /// With a result, a warning that names this file and this code, and still Debian's packages.
    Warning(&'static str, &'static str),
    /// With a result without warnings.
    Result,
    /// With this code.
    Error(&'static str),
}

/// Scans the layers, put on top of a Debian base, with the program itself.
#[track_caller]
fn check(name: &str, layers: Vec<(Layer, Compression)>, end: &End) {
    let home = tempfile::tempdir().unwrap();
    let plugins = plugin_directory(&["local"]);
    let mut image = ImageBuilder::new(Flavor::Oci).layer(debian_layer(), Compression::Gzip);
    for (layer, compression) in layers {
        image = image.layer(layer, compression);
    }
    let layout = home.path().join("layout");
    fs::create_dir(&layout).unwrap();
    image.build().write_layout(&layout, "latest");
    let resident = home.path().join("resident");
    let output = Command::new("time")
        .args(["--quiet", "-f", "%M", "-o"])
        .arg(&resident)
        .arg(regent())
        .args(["scan", "--format", "scan-result"])
        .arg(&layout)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home.path())
        .env("REGENT_PLUGIN_DIR", plugins.path())
        .env("REGENT_DATA_DIR", home.path().join("data"))
        .env("SNYK_MAX_IMAGE_SIZE_IN_BYTES", (8_u64 << 30).to_string())
        .output()
        .unwrap_or_else(|e| panic!("time can't be run ({e}); `cargo xtask test` installs it"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let context = || format!("{name}: {}\n{err}", out.chars().take(2000).collect::<String>());
    match end {
        End::Error(code) => {
            assert!(!output.status.success(), "{}", context());
            assert!(err.contains(code), "{}", context());
        }
        End::Result | End::Warning(..) => {
            assert!(output.status.success(), "{}", context());
            let result: Value = serde_json::from_str(&out).unwrap();
            let facts = result["scanResults"][0]["facts"].as_array().unwrap();
            let packages = facts[0]["data"]["pkgs"].as_array().unwrap();
            assert!(packages.iter().any(|package| package["id"] == "bash@5.2.15-2+b2"), "{}", context());
            match end {
                End::Warning(path, code) => {
                    let is_meant = |line: &str| {
                        line.starts_with(&format!("warning: {path}: "))
                            && line.ends_with(&format!("({code})"))
                    };
                    assert!(err.lines().any(is_meant), "{}", context());
                }
                _ => assert!(!err.contains("warning: "), "{}", context()),
            }
        }
    }
    let resident_kib = resident_kib(&resident);
    assert!(resident_kib <= MAX_RESIDENT_KIB, "{name}: {resident_kib} KiB");
}

/// The last line: `time` says something else first when the command failed.
fn resident_kib(file: &Path) -> u64 {
    let text = fs::read_to_string(file).unwrap();
    text.lines().last().unwrap().trim().parse().unwrap()
}

fn one(layer: Layer) -> Vec<(Layer, Compression)> {
    vec![(layer, Compression::Gzip)]
}

#[test]
fn layers_that_inflate_without_end_end() {
    let zeros = || Layer::new().file("zeros", vec![0; 400 << 20]);
    check("zstd", vec![(zeros(), Compression::Zstd)], &End::Error("limit_exceeded"));
    // Nearly as good as deflate can be, and no more than a large file: read to its end.
    check("gzip", one(zeros()), &End::Result);
}

#[test]
fn a_sparse_file_of_any_size_costs_nothing() {
    check("ten gigabytes", one(Layer::new().sparse_file("big", 10 << 30)), &End::Result);
    let database = Layer::new().sparse_file("lib/apk/db/installed", 10 << 30);
    check("a database", one(database), &End::Warning("/lib/apk/db/installed", "file_too_large"));
}

#[test]
fn very_many_files_are_one_error() {
    let many = (0..400_000).fold(Layer::new(), |layer, n| layer.symlink(&format!("links/a/b/c/{n}"), "x"));
    check("links", one(many), &End::Error("limit_exceeded"));
}

#[test]
fn layers_that_are_each_within_the_limits_are_not_together() {
    let status = |n: usize| {
        let layer = Layer::new().noise_text(&format!("root/buildinfo/content_manifests/{n}.json"), 30 << 20);
        (layer, Compression::Zstd)
    };
    check("kept files", (0..6).map(status).collect(), &End::Error("limit_exceeded"));
}

#[test]
fn a_database_of_very_many_packages_is_cut() {
    let mut status = String::from("Package: bash\nVersion: 5.2.15-2+b2\n\n");
    for n in 0..700_000 {
        let _ = write!(status, "Package: p{n}\nVersion: 1\nDepends: p{}, p{}\n\n", n / 2, n / 3);
    }
    let layer = Layer::new().file("var/lib/dpkg/status", status);
    check("packages", one(layer), &End::Warning("/var/lib/dpkg/status", "package_limit_reached"));
}

#[test]
fn lock_files_that_are_too_large_too_deep_or_too_connected_cost_themselves_only() {
    let project = |lock: &str, content: Vec<u8>| {
        let manifest = br#"{"name":"app","version":"1.0.0","dependencies":{"a":"*"}}"#;
        Layer::new().file("app/package.json", manifest).file(&format!("app/{lock}"), content)
    };
    let deep = |open: &str| open.repeat(2 << 20).into_bytes();
    let rows: [(&str, Vec<u8>, &'static str, &'static str); 5] = [
        ("package-lock.json", vec![b' '; 100 << 20], "/app/package-lock.json", "file_too_large"),
        ("package-lock.json", deep("["), "/app/package-lock.json", "node_file_unreadable"),
        ("package-lock.json", deep("{\"a\":"), "/app/package-lock.json", "dependency_limit_reached"),
        ("pnpm-lock.yaml", deep("["), "/app/pnpm-lock.yaml", "node_file_unreadable"),
        ("pnpm-lock.yaml", yaml_bomb().into_bytes(), "/app/pnpm-lock.yaml", "dependency_limit_reached"),
    ];
    for (lock, content, path, code) in rows {
        let name = format!("{lock} of {} bytes", content.len());
        check(&name, one(project(lock, content)), &End::Warning(path, code));
    }
}

/// Aliases of aliases: a billion words from some hundred bytes.
fn yaml_bomb() -> String {
    let mut text = String::from("lockfileVersion: '9.0'\na0: &a0 [lol, lol]\n");
    for n in 1..40 {
        let _ = writeln!(text, "a{n}: &a{n} [*a{0}, *a{0}, *a{0}, *a{0}]", n - 1);
    }
    text
}

#[test]
fn a_lock_of_toml_that_is_too_deep_costs_itself_only() {
    let layer = Layer::new()
        .file(
            "app/pyproject.toml",
            "[tool.poetry]\nname = \"app\"\nversion = \"1\"\n[tool.poetry.dependencies]\na = \"*\"\n",
        )
        .file("app/poetry.lock", format!("a = {}", "[".repeat(4 << 20)));
    check("deep lists", one(layer), &End::Warning("/app/poetry.lock", "document_limit_reached"));
}

#[test]
fn applications_that_are_each_within_the_limits_are_not_together() {
    let layer = (0..20).fold(Layer::new(), |layer, project| {
        let names: Vec<String> = (0..15_000).map(|n| format!("package-{project}-{n}")).collect();
        let packages: Vec<String> = names
            .iter()
            .map(|name| format!(r#""node_modules/{name}":{{"version":"1.{project}.0"}}"#))
            .collect();
        let wanted: Vec<String> = names.iter().map(|name| format!(r#""{name}":"*""#)).collect();
        layer
            .file(
                &format!("srv/{project:02}/package.json"),
                format!(r#"{{"name":"app","version":"1.0.0","dependencies":{{{}}}}}"#, wanted.join(",")),
            )
            .file(
                &format!("srv/{project:02}/package-lock.json"),
                format!(r#"{{"lockfileVersion":3,"packages":{{{}}}}}"#, packages.join(",")),
            )
    });
    check("lock files", one(layer), &End::Warning("/srv/19/package.json", "finding_limit_reached"));
}
