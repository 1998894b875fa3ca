//! Many small images, each of which can be told from all others by its result.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::image::{Compression, Flavor, ImageBuilder, Layer};

/// Base layers that the images share.
const BASES: usize = 3;
/// What each base layer holds besides its few files: enough for a scan to last a moment.
const BASE_NOISE_BYTES: usize = 96 << 10;
/// What an image has of its own.
const OWN_NOISE_BYTES: usize = 24 << 10;

/// One image.
#[derive(Debug, Clone)]
pub struct Member {
    /// `repository:tag`.
    pub image: String,
    /// What a scan has to find: packages of the system and of an application, `name@version`.
    pub packages: BTreeSet<String>,
}

/// Images in one repository of a registry.
#[derive(Debug, Clone)]
pub struct Fleet {
    members: Vec<Member>,
}

impl Fleet {
    /// Pushes `n_images` to a repository. Those of two repositories differ as well.
    ///
    /// # Panics
    /// When the registry does not take them.
    pub async fn push(
        registry: &str,
        authorization: Option<&str>,
        repository: &str,
        n_images: usize,
    ) -> Self {
        let mut members = Vec::new();
        for number in 0..n_images {
            let name = format!("{}-{number}", repository.replace('/', "-"));
            let image = ImageBuilder::new(Flavor::Oci)
                .layer(base_layer(number % BASES), Compression::Gzip)
                .layer(own_layer(&name, number), Compression::Gzip)
                .build();
            let tag = format!("image-{number}");
            image.push(registry, repository, &tag, authorization).await;
            members.push(Member { image: format!("{repository}:{tag}"), packages: packages(&name, number) });
        }
        Self { members }
    }

    /// The image that the scan with this number is of.
    pub fn member(&self, number: usize) -> &Member {
        &self.members[number % self.members.len()]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

/// The packages of all scan results of a callback, as [`Member::packages`] has them.
pub fn packages_of(body: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for fact in all(&body["scanResults"]).iter().flat_map(|result| all(&result["facts"])) {
        if fact["type"] == "depGraph" {
            // The first is the image or the application itself.
            let packages = all(&fact["data"]["pkgs"]);
            found.extend(packages.iter().skip(1).filter_map(|p| p["id"].as_str().map(str::to_owned)));
        }
    }
    found
}

fn packages(name: &str, number: usize) -> BTreeSet<String> {
    [
        "bash@5.2.15-2+b2".to_owned(),
        "glibc/libc6@2.36-9+deb12u4".to_owned(),
        format!("own-{name}@1.{number}"),
        format!("module-{name}@2.{number}.0"),
    ]
    .into()
}

fn base_layer(number: usize) -> Layer {
    Layer::new()
        .file(
            "usr/lib/os-release",
            "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
        )
        .symlink("etc/os-release", "../usr/lib/os-release")
        .noise_text(&format!("opt/base-{number}"), BASE_NOISE_BYTES)
}

fn own_layer(name: &str, number: usize) -> Layer {
    let status = format!(
        "Package: libc6\nStatus: install ok installed\nSource: glibc\nVersion: 2.36-9+deb12u4\n\n\
         Package: bash\nStatus: install ok installed\nVersion: 5.2.15-2+b2\nDepends: libc6 (>= 2.36)\n\n\
         Package: own-{name}\nStatus: install ok installed\nVersion: 1.{number}\nDepends: bash\n"
    );
    let module = format!("module-{name}");
    let version = format!("2.{number}.0");
    let application = json!({ "name": "app", "version": "1.0.0", "dependencies": { &module: &version } });
    let lock = json!({
        "name": "app", "version": "1.0.0", "lockfileVersion": 3, "packages": {
            "": application,
            format!("node_modules/{module}"): { "version": version },
        },
    });
    Layer::new()
        .file("var/lib/dpkg/status", status)
        .file("srv/app/package.json", application.to_string())
        .file("srv/app/package-lock.json", lock.to_string())
        .noise_text(&format!("opt/own-{name}"), OWN_NOISE_BYTES)
}
