use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use minisign::KeyPair;
use regent_oci::Digest;
use regent_plugin_api::load::Pin;

use super::*;
use crate::drivers::index::{Index, LOOK_EVERY};
use crate::drivers::library_fixture::{directory, library, put};

fn pair() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().unwrap()
}

fn sign(pair: &KeyPair, bytes: &[u8]) -> String {
    minisign::sign(Some(&pair.pk), &pair.sk, bytes, None, None).unwrap().into_string()
}

fn trust(policy: TrustPolicy, keys: &[&KeyPair]) -> Trust {
    let keys: Vec<String> = keys.iter().map(|pair| pair.pk.to_base64()).collect();
    Trust { policy, keys: Arc::new(read_keys(&keys).unwrap()) }
}

/// The only file's code of refusal, state of its signature, and whether its description is shown.
fn verdict(index: &Index) -> (Option<String>, &'static str, bool) {
    let snapshot = index.snapshot();
    let entry = snapshot.entries.first().unwrap();
    match &entry.outcome {
        Ok(_) => (None, entry.signature.as_str(), true),
        Err(refused) => (Some(refused.code.clone()), entry.signature.as_str(), refused.description.is_some()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_counts_as_signed_by_a_trusted_key_over_its_own_bytes() {
    let (ours, stranger, plugins) = (pair(), pair(), directory());
    let bytes = library("harbor", "1.0.0");
    put(plugins.path(), "harbor.so", &bytes);
    let index = |policy, keys: &[&KeyPair]| Index::new(vec![plugins.path().to_owned()], trust(policy, keys));
    let signed = index(TrustPolicy::Signed, &[&pair(), &ours]);
    let shown = index(TrustPolicy::Directory, &[&ours]);
    let unchecked = index(TrustPolicy::Directory, &[]);
    assert_eq!(verdict(&signed), (Some("not_signed".to_owned()), "missing", true));
    assert_eq!(verdict(&shown), (None, "missing", true));

    let rows = [
        (sign(&ours, &bytes), None, "valid"),
        (sign(&ours, &library("harbor", "1.0.1")), Some("signature_wrong"), "invalid"),
        (sign(&stranger, &bytes), Some("signature_untrusted"), "invalid"),
        ("nonsense".to_owned(), Some("signature_malformed"), "invalid"),
        ("x".repeat(9000), Some("signature_malformed"), "invalid"),
        (sign(&ours, &bytes), None, "valid"),
    ];
    for (signature, code, state) in rows {
        // A signature that comes or changes is noticed like a library.
        put(plugins.path(), "harbor.so.minisig", signature.as_bytes());
        // Seen now, and counts when it has stayed as it is.
        signed.look_now();
        shown.look_now();
        tokio::time::advance(LOOK_EVERY).await;
        assert_eq!(verdict(&signed), (code.map(str::to_owned), state, true), "{signature}");
        assert_eq!(verdict(&shown), (None, state, true), "looked at, and not asked for");
    }
    assert_eq!(verdict(&unchecked), (None, "unchecked", true));
}

#[tokio::test(start_paused = true)]
async fn a_file_counts_as_pinned_when_its_bytes_stand_in_a_safe_lock() {
    let plugins = directory();
    let (one, two) = (library("harbor", "1.0.0"), library("harbor", "1.0.1"));
    put(plugins.path(), "harbor.so", &one);
    let index = Index::new(vec![plugins.path().to_owned()], trust(TrustPolicy::Pinned, &[]));
    assert_eq!(verdict(&index), (Some("not_pinned".to_owned()), "missing", true), "there is no lock");

    let mut lock = Lock::default();
    lock.pin("renamed.so", &Digest::sha256(&one));
    let file = put(plugins.path(), Lock::FILE, lock.to_string().as_bytes());
    let rows: [(&dyn Fn(), _); 4] = [
        (&|| {}, None),
        (&|| fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap(), Some("not_pinned")),
        (&|| fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap(), None),
        (&|| drop(put(plugins.path(), "harbor.so", &two)), Some("not_pinned")),
    ];
    for (i, (change, code)) in rows.into_iter().enumerate() {
        change();
        index.look_now();
        tokio::time::advance(LOOK_EVERY).await;
        assert_eq!(verdict(&index).0.as_deref(), code, "row {i}");
    }
    let pins: Vec<Pin> = read_lock(plugins.path()).unwrap().pins().cloned().collect();
    assert_eq!(pins, [Pin { digest: Digest::sha256(&one), name: "renamed.so".to_owned() }]);
}

#[test]
fn keys_stand_in_the_setting_or_in_files() {
    let (one, two, folder) = (pair(), pair(), tempfile::tempdir().unwrap());
    let file = put(folder.path(), "keys.pub", two.pk.to_box().unwrap().into_string().as_bytes());
    let empty = put(folder.path(), "empty.pub", b"# none\n");
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    let keys = read_keys(&[one.pk.to_base64(), path(&file)]).unwrap();
    assert_eq!(keys.ids().count(), 2);
    let open = put(folder.path(), "open.pub", two.pk.to_base64().as_bytes());
    fs::set_permissions(&open, Permissions::from_mode(0o666)).unwrap();
    let rows = [
        (path(&open), "open.pub is writable by group or others"),
        ("RWnonsense".to_owned(), "is no minisign public key"),
        (path(&empty), "empty.pub: it holds no minisign public key"),
        ("/no/such.pub".to_owned(), "/no/such.pub can't be read"),
    ];
    for (item, words) in rows {
        let error = read_keys(&[item]).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
