//! What can be asked of a library by someone who has neither its source nor its registry.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::conduct::Conduct;
use super::script::Script;
use super::subject::Subject;
use super::watch::Progress;
use crate::description::Description;
use crate::dyn_driver::DynDriver;
use crate::error::Result;
use crate::host::HostServices;
use crate::load::LoadedLibrary;
use crate::settings::Settings;

/// Holds a loaded library against that part of the contract which needs no registry, and returns what it broke, one
/// sentence each. `values` are the settings of a connection; those that are required and missing get a placeholder.
///
/// Looked at are the description itself, connections without a required setting, and each call at registries that
/// fail in every way (statuses, HTML, a broken transport, no answer at all): the classes of its errors, panics,
/// secrets, requests to hosts that were not declared, and whether anything of a session is left when it has ended.
/// A driver that does not take the placeholders is only looked at that far. Code of the library runs on this thread.
pub fn probe(library: &LoadedLibrary, values: &[(String, SecretString)]) -> Vec<String> {
    let about = library.description();
    let mut breaches = described(about);
    let missing =
        about.settings.iter().filter(|s| s.required && !values.iter().any(|(name, _)| *name == s.name));
    let placeholders = missing.map(|setting| {
        let value = if setting.name == "registryBase" { "registry.example.com" } else { "placeholder" };
        (setting.name.clone(), SecretString::from(value))
    });
    let connect = |settings: Settings, host: Arc<dyn HostServices>| -> Result<Arc<dyn DynDriver>> {
        Ok(Arc::new(library.connect(&settings, host)?))
    };
    let subject = Subject {
        about: about.clone(),
        connect: &connect,
        values: values.iter().cloned().chain(placeholders).collect(),
        plain_http: false,
        patience: Duration::ZERO,
        script: &Script::new,
    };
    breaches.extend(Conduct::of_unknown(&subject, &Progress::default()).breaches);
    breaches
}

/// What a description may not leave open.
fn described(about: &Description) -> Vec<String> {
    let mut breaches = Vec::new();
    if about.types.is_empty() {
        breaches.push("the description names no type of connections".to_owned());
    }
    if about.summary.trim().is_empty() {
        breaches.push("the description does not say which registry this is for".to_owned());
    }
    for (i, setting) in about.settings.iter().enumerate() {
        let lower = setting.name.to_ascii_lowercase();
        if about.settings.iter().skip(i + 1).any(|other| other.name == setting.name) {
            breaches.push(format!("the description has the setting {} twice", setting.name));
        }
        if setting.help.trim().is_empty() {
            breaches.push(format!("the setting {} has no help", setting.name));
        }
        if ["password", "secret"].iter().any(|word| lower.contains(word)) && !setting.secret {
            breaches.push(format!("the setting {} is not marked as secret", setting.name));
        }
    }
    for entry in about.egress.iter().filter(|entry| matches!(entry.trim_start_matches("metadata:"), "" | "*"))
    {
        breaches.push(format!("the egress {entry:?} names no host"));
    }
    breaches
}
