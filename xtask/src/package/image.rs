//! The container image, written without a container engine: an OCI image layout, one index for all platforms.
//!
//! Two layers: what is needed of Debian ([`base`]), then the program with its drivers, which alone differs from build to
//! build. The same program over the same packages gives the same digests.

mod base;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::Package;
use super::archive::{NOTICES, hex, libraries, put};
use super::debian::Archive;
use super::platform::Platform;
use super::release::Release;
use super::tree::{Content, Tree, add_folder, gzip};
use crate::command::workspace;

/// image-spec, `media-types.md`.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The port that the agent listens on without a setting.
const PORT: u16 = 17500;

/// A layer, and who made it.
struct Layer {
    tar: Vec<u8>,
    made_by: String,
}

/// Writes the layout and an archive of it: an image for each packaged folder. Returns the layout's folder.
///
/// # Errors
/// When a package can't be fetched; when the program or a driver needs a library that the image does not have.
pub(super) fn write(release: &Release, packages: &[Package], debian: &Path, to: &Path) -> Result<PathBuf> {
    let layout = Layout::begin(to.join(format!("regent-{}-image", release.version)))?;
    let mut manifests = Vec::new();
    for package in packages {
        let Package { platform, folder, .. } = package;
        let archive = Archive::open(platform.debian, debian)?;
        let (below, made_of) = base::tree(&archive)?;
        base::holds_what_is_needed(&below, platform, &folder.join("regent"))?;
        for library in libraries(folder)? {
            base::holds_what_is_needed(&below, platform, &folder.join("plugins").join(library))?;
        }
        let layers = [
            Layer { tar: below.tar(release.epoch)?, made_by: format!("Debian: {}", made_of.join(", ")) },
            Layer { tar: program(package)?.tar(release.epoch)?, made_by: "cargo xtask package".to_owned() },
        ];
        manifests.push(layout.add_image(release, platform, &layers)?);
    }
    layout.finish(release, &manifests)?;
    let archive = to.join(format!("regent-{}-image.tar", release.version));
    put(&archive, &layout.tree()?.tar(release.epoch)?)?;
    Ok(layout.folder)
}

/// The layer of the program, where it looks for its drivers.
fn program(package: &Package) -> Result<Tree> {
    let Package { folder, notices, .. } = package;
    let mut tree = Tree::default();
    tree.add_copy("usr/bin/regent", 0o755, &folder.join("regent"))?;
    for library in libraries(folder)? {
        let path = format!("usr/lib/regent/plugins/{library}");
        tree.add_copy(&path, 0o644, &folder.join("plugins").join(library))?;
    }
    let notices = Content::File(notices.as_bytes().into());
    tree.add(&format!("usr/share/doc/regent/{NOTICES}"), 0o644, notices);
    tree.add_copy("usr/share/doc/regent/LICENSE", 0o644, &workspace().join("LICENSE"))?;
    Ok(tree)
}

/// A layout while it is written.
struct Layout {
    folder: PathBuf,
}

impl Layout {
    /// Where one was before there is a new one.
    fn begin(folder: PathBuf) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
        }
        fs::create_dir_all(folder.join("blobs/sha256"))?;
        Ok(Self { folder })
    }

    /// Stores a blob; returns its descriptor.
    fn blob(&self, media_type: &str, bytes: &[u8]) -> Result<Value> {
        let digest = hex(bytes);
        put(&self.folder.join("blobs/sha256").join(&digest), bytes)?;
        Ok(json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len() }))
    }

    /// Stores an image; returns the descriptor of its manifest.
    fn add_image(&self, release: &Release, platform: &Platform, layers: &[Layer]) -> Result<Value> {
        let (mut diff_ids, mut history, mut descriptors) = (Vec::new(), Vec::new(), Vec::new());
        for layer in layers {
            diff_ids.push(format!("sha256:{}", hex(&layer.tar)));
            history.push(json!({ "created": release.time()?, "created_by": layer.made_by }));
            descriptors.push(self.blob(LAYER, &gzip(&layer.tar)?)?);
        }
        let mut about = json!({ "os": "linux", "architecture": platform.oci });
        if let (Some(variant), Some(about)) = (platform.variant, about.as_object_mut()) {
            about.insert("variant".to_owned(), variant.into());
        }
        let mut config = json!({
            "created": release.time()?,
            "config": {
                "User": format!("{0}:{0}", base::USER),
                "ExposedPorts": { format!("{PORT}/tcp"): {} },
                // Both stay when the root is read-only: what a scan puts aside is on the volume as well.
                "Env": [
                    "PATH=/usr/bin",
                    format!("REGENT_DATA_DIR=/{}", base::DATA),
                    format!("TMPDIR=/{}", base::DATA),
                ],
                "Entrypoint": ["/usr/bin/regent"],
                "Cmd": ["serve"],
                "Volumes": { format!("/{}", base::DATA): {} },
                "WorkingDir": "/",
                "Labels": labels(release)?,
                "StopSignal": "SIGTERM",
            },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": history,
        });
        merge(&mut config, &about);
        let config = self.blob(CONFIG, &serde_json::to_vec(&config)?)?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": descriptors,
            "annotations": labels(release)?,
        });
        let mut descriptor = self.blob(MANIFEST, &serde_json::to_vec(&manifest)?)?;
        merge(&mut descriptor, &json!({ "platform": about }));
        Ok(descriptor)
    }

    /// Writes what makes it a layout: one name, for the index of all images.
    fn finish(&self, release: &Release, manifests: &[Value]) -> Result<()> {
        let index = json!({
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": manifests,
            "annotations": labels(release)?,
        });
        let mut descriptor = self.blob(INDEX, &serde_json::to_vec(&index)?)?;
        let name = json!({ "annotations": { "org.opencontainers.image.ref.name": release.version } });
        merge(&mut descriptor, &name);
        let named = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor] });
        put(&self.folder.join("index.json"), &serde_json::to_vec(&named)?)?;
        put(&self.folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)
    }

    /// Its files.
    fn tree(&self) -> Result<Tree> {
        let mut tree = Tree::default();
        for file in ["oci-layout", "index.json"] {
            tree.add_copy(file, 0o644, &self.folder.join(file))?;
        }
        tree.add("blobs", 0o755, Content::Folder);
        add_folder(&mut tree, "blobs", &self.folder.join("blobs"))?;
        Ok(tree)
    }
}

/// image-spec, `annotations.md`; labels and annotations are the same here.
fn labels(release: &Release) -> Result<BTreeMap<&'static str, String>> {
    let mut labels = BTreeMap::from([
        ("org.opencontainers.image.title", "Regent".to_owned()),
        ("org.opencontainers.image.description", "A container-registry agent, with its drivers".to_owned()),
        ("org.opencontainers.image.version", release.version.clone()),
        ("org.opencontainers.image.created", release.time()?),
        ("org.opencontainers.image.source", release.repository.clone()),
        ("org.opencontainers.image.licenses", release.license.clone()),
    ]);
    if let Some(revision) = &release.revision {
        labels.insert("org.opencontainers.image.revision", revision.clone());
    }
    Ok(labels)
}

/// Adds the members of one object to another.
fn merge(object: &mut Value, members: &Value) {
    if let (Some(object), Some(members)) = (object.as_object_mut(), members.as_object()) {
        object.extend(members.clone());
    }
}
