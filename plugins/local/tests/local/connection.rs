//! Connects the driver and reads images through it.

use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt as _;
use regent_oci::{Descriptor, Digest, Document, ImageManifest, Index, Manifest, RepositoryName};
use regent_plugin_api::secrecy::SecretString;
use regent_plugin_api::testkit::Script;
use regent_plugin_api::transport::BoxFuture;
use regent_plugin_api::{DynDriver, Error, Page, PageRequest, Settings};

/// The result of a call. This driver never waits for anything.
pub(crate) fn now<T>(call: BoxFuture<'static, T>) -> T {
    call.now_or_never().expect("the driver does not wait")
}

pub(crate) fn connect(kind: &str, path: &Path) -> Arc<dyn DynDriver> {
    let base = SecretString::from(path.to_str().unwrap());
    let settings = Settings::new(kind, [("registryBase".to_owned(), base)], false);
    regent_driver_local::DRIVER.connect(settings, Script::new().shared()).unwrap()
}

pub(crate) fn repository(name: &str) -> RepositoryName {
    name.parse().unwrap()
}

pub(crate) fn manifest(driver: &dyn DynDriver, name: &str, reference: &str) -> Result<Manifest, Error> {
    let content = now(driver.manifest(&repository(name), &reference.parse().unwrap()))?;
    Ok(Manifest::parse(content.bytes, Some(content.media_type.as_str())).unwrap())
}

pub(crate) fn image(driver: &dyn DynDriver, reference: &str) -> ImageManifest {
    match manifest(driver, "image", reference).unwrap().document {
        Document::Image(image) => image,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn index(driver: &dyn DynDriver, reference: &str) -> Index {
    match manifest(driver, "image", reference).unwrap().document {
        Document::Index(index) => index,
        other => panic!("{other:?}"),
    }
}

/// Reads a blob in small pieces and checks what a host would: length and digest.
pub(crate) fn blob(driver: &dyn DynDriver, name: &str, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
    let bytes = bytes_of(driver, name, &descriptor.digest)?;
    assert_eq!(bytes.len() as u64, descriptor.size_bytes);
    descriptor.digest.verify(&bytes).unwrap();
    Ok(bytes)
}

pub(crate) fn bytes_of(driver: &dyn DynDriver, name: &str, digest: &Digest) -> Result<Vec<u8>, Error> {
    let handle = now(driver.open_blob(&repository(name), digest))?;
    let mut bytes = Vec::new();
    loop {
        let chunk = now(driver.read_blob(handle, 100))?;
        assert!(chunk.len() <= 100);
        if chunk.is_empty() {
            break;
        }
        bytes.extend_from_slice(&chunk);
    }
    now(driver.close_blob(handle))?;
    Ok(bytes)
}

pub(crate) fn repositories(driver: &dyn DynDriver) -> Vec<String> {
    names(&now(driver.repositories(PageRequest::first())).unwrap())
}

pub(crate) fn tags(driver: &dyn DynDriver, name: &str) -> Vec<String> {
    names(&now(driver.tags(&repository(name), PageRequest::first())).unwrap())
}

fn names<T: ToString>(page: &Page<T>) -> Vec<String> {
    assert_eq!(page.next, None);
    page.items.iter().map(ToString::to_string).collect()
}
