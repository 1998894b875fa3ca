//! What the layouts of a version are called, for libraries that can't describe theirs: those written in C.
//!
//! A Rust library has the layouts of all that crosses in itself, and they are compared one by one. A library in C has the
//! name that stands in its header: of what the header declares, in its version and in each one before. The older side's
//! version decides, as with all drivers: the newer side has to know it by the same name.

use std::collections::BTreeMap;

use semver::Version;

/// Version and name, the oldest first. A test makes the last one anew of the layouts.
pub(crate) const LAYOUTS: &[(&str, &str)] = &[("1.0", "041e8b3983aabb98152140c612664a49")];

/// The version that both sides have to call the same: the older one's. `None` where its name is not the one known here.
#[cfg(feature = "load")]
pub(crate) fn agreed(told: &BTreeMap<String, String>, driver: &Version, host: &Version) -> Option<String> {
    let older = driver.min(host);
    let version = format!("{}.{}", older.major, older.minor);
    let known = LAYOUTS.iter().find(|(of, _)| *of == version).map(|(_, name)| *name)?;
    (told.get(&version).map(String::as_str) == Some(known)).then_some(version)
}
