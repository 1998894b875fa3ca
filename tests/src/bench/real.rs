//! An image with real contents: a Debian root by debootstrap with runtimes, applications of npm and pip, Go programs and
//! JARs of Debian's packages. It is made once, as root and with the package registries at hand, and kept.

use std::fs;
use std::path::Path;
use std::process::Command;

use regent_oci::Digest;

use super::progress;
use super::specimen::{Specimen, gzip, push as push_layers};

const SUITE: &str = "bookworm";
/// Runtimes and tools of the second layer; JARs and Go programs come with the last ones.
const RUNTIMES: &str = "nodejs npm default-jre-headless php-cli git python3-pip ca-certificates";
const ARCHIVES_AND_PROGRAMS: &str = "maven ant libspring-web-java docker-registry nats-server";
const NPM: [&str; 5] = ["express", "webpack", "typescript", "react-scripts", "eslint"];
const PIP: [&str; 5] = ["django", "pandas", "scikit-learn", "boto3", "requests"];

/// Makes the layers where they are not there yet, and pushes them.
///
/// # Panics
/// When a step fails, with what it said.
pub async fn push(registry: &str, kept: &Path) -> Specimen {
    let folder = kept.join("real-image");
    let layers = tokio::task::block_in_place(|| {
        fs::create_dir_all(&folder).unwrap();
        let names = ["debian", "runtimes", "programs", "npm", "pip"];
        if names.iter().any(|name| !folder.join(format!("{name}.tar")).is_file()) {
            make(&folder);
        }
        let read = |name: &str| {
            let tar = fs::read(folder.join(format!("{name}.tar"))).unwrap();
            (gzip(&tar), Digest::sha256(&tar), tar.len() as u64)
        };
        names.map(read).into()
    });
    let what =
        "a Debian root by debootstrap, runtimes, Go programs and JARs by apt, applications of npm and pip";
    push_layers(registry, layers, what).await
}

fn make(folder: &Path) {
    let root = folder.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).unwrap();
    }
    progress("debootstrap");
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", "--include=apt", SUITE]).arg(&root);
    debootstrap.args(mirror());
    succeed(&mut debootstrap);
    pack(&root, &folder.join("debian.tar"), None);
    for (name, packages) in [("runtimes", RUNTIMES), ("programs", ARCHIVES_AND_PROGRAMS)] {
        progress(packages);
        let stamp = folder.join("stamp");
        fs::write(&stamp, "").unwrap();
        // Java is set up with a look into /proc, which is gone again with the name space of the command.
        let script = format!(
            "mount -t proc proc {root}/proc && DEBIAN_FRONTEND=noninteractive exec chroot {root} \
             apt-get install -y -qq --no-install-recommends {packages}",
            root = root.display()
        );
        succeed(Command::new("unshare").args(["--mount", "sh", "-c", &script]));
        pack(&root, &folder.join(format!("{name}.tar")), Some(&stamp));
    }
    let (npm, pip) = (folder.join("npm"), folder.join("pip"));
    progress("npm");
    fs::create_dir_all(npm.join("app")).unwrap();
    fs::write(npm.join("app/package.json"), r#"{"name": "app", "version": "1.0.0"}"#).unwrap();
    let mut install = Command::new("npm");
    install
        .args(["install", "--no-audit", "--no-fund", "--ignore-scripts"])
        .args(NPM)
        .current_dir(npm.join("app"));
    succeed(&mut install);
    pack(&npm, &folder.join("npm.tar"), None);
    progress("pip");
    let mut install = Command::new("python3");
    install.args(["-m", "pip", "install", "--quiet", "--target"]);
    install.arg(pip.join("usr/local/lib/python3.11/site-packages")).args(PIP);
    succeed(&mut install);
    pack(&pip, &folder.join("pip.tar"), None);
    for leftover in [root, npm, pip] {
        fs::remove_dir_all(leftover).unwrap();
    }
}

/// The mirror of this machine, where it names one.
fn mirror() -> Option<String> {
    let old = fs::read_to_string("/etc/apt/sources.list").unwrap_or_default();
    let new = fs::read_to_string("/etc/apt/sources.list.d/debian.sources").unwrap_or_default();
    let words = old.lines().filter(|line| line.starts_with("deb ")).chain(new.lines());
    let urls = words
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| line.split(' '))
        .filter(|word| word.starts_with("http"));
    urls.map(str::to_owned).next()
}

/// Puts a folder into a tar; where a stamp is given, only what has changed since it was made.
fn pack(root: &Path, tar: &Path, since: Option<&Path>) {
    let newer = since.map_or(String::new(), |stamp| format!("-cnewer {}", stamp.display()));
    let script = format!(
        "cd {} && find . -mindepth 1 {newer} -not -path './proc/*' -not -path './sys/*' -not -path './var/cache/*' -print0 \
         | tar --create --no-recursion --null --files-from=- --file={}",
        root.display(),
        tar.display()
    );
    succeed(Command::new("sh").args(["-c", &script]));
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
