//! What is looked at, in order. This runs in the child: whatever the driver does happens to it alone.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use regent_oci::{Digest, Reference, RepositoryName};
use regent_plugin_api::load::{FilePolicy, LibraryFile, LoadedLibrary, Refusal, Session, load};
use regent_plugin_api::testkit::probe;
use regent_plugin_api::{
    Access, Description, DynDriver as _, Error, PANICKED, PageRequest, Result as CallResult, Settings,
};
use regent_transport::Class;
use secrecy::SecretString;

use super::offline::Offline;
use super::{Outcome, Said, Step, Task};
use crate::cli::{Failure, output};

/// Time for one call. There is no network: it waits for nothing.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The step that looks at what the description says of settings.
pub(super) const SETTINGS: &str = "settings";

/// Runs all steps; the first that makes no sense to go on from is the last.
pub(super) async fn run(task: &Task) -> Result<(), Failure> {
    let Some(library) = step("load", || loaded(task)).await? else { return Ok(()) };
    let description = library.description().clone();
    let fields = fields(&description, &task.fields);
    step(SETTINGS, || refuses_what_lacks(&library, &description, &fields)).await?;
    let session = step("connect", || connected(&library, &description, &fields)).await?;
    if let Some((session, offline)) = session {
        calls(&session, &offline).await?;
        step("close", || {
            drop(session);
            Ok(((), "the session was dropped".to_owned()))
        })
        .await?;
        step("contract", || keeps_contract(&library, fields)).await?;
    }
    Ok(())
}

type Looked<T> = Result<(T, String), (Outcome, String)>;

/// Says that a step begins and how it ends; gives what it made, for the next one.
async fn step<T>(name: &str, look: impl FnOnce() -> Looked<T>) -> Result<Option<T>, Failure> {
    step_of(name, async { look() }).await
}

async fn step_of<T>(name: &str, look: impl Future<Output = Looked<T>>) -> Result<Option<T>, Failure> {
    say(&Said::Begins(name.to_owned()))?;
    let (made, outcome, detail) = match look.await {
        Ok((made, detail)) => (Some(made), Outcome::Passed, detail),
        Err((outcome, detail)) => (None, outcome, detail),
    };
    say(&Said::Ended(Step { name: name.to_owned(), outcome, detail }))?;
    Ok(made)
}

fn say(said: &Said) -> Result<(), Failure> {
    // On a line of its own, whatever the driver has printed before.
    output::write(None, format!("\n{}\n", serde_json::to_string(said)?).as_bytes())
}

fn failed<T>(detail: impl Into<String>) -> Looked<T> {
    Err((Outcome::Failed, detail.into()))
}

/// The very bytes that were shown, through `dlopen`, the root symbol and the check of the layouts.
fn loaded(task: &Task) -> Looked<LoadedLibrary> {
    let directory = task.file.parent().unwrap_or(Path::new("/"));
    let refused = |r: Refusal| (Outcome::Failed, format!("{r} ({})", r.code()));
    let file = LibraryFile::read(&task.file, &FilePolicy::in_directory(directory)).map_err(refused)?;
    if *file.digest() != task.digest {
        return failed("the file is being replaced: try again");
    }
    // Only needed where there is no memory that can be sealed; it goes with what is in it.
    let copies = tempfile::tempdir().ok();
    let file = file.with_copies_in(copies.as_ref().map(|copies| copies.path().to_owned()));
    let library = load(&file).map_err(refused)?;
    let api = library.description().api.clone();
    Ok((library, format!("it loads, has its entry point, and the layouts of plugin API {api} match")))
}

/// What to connect with: what was given, and a placeholder for each required setting without a value.
fn fields(description: &Description, given: &[(String, String)]) -> BTreeMap<String, String> {
    let required = description.settings.iter().filter(|setting| setting.required);
    let placeholder = |name: &str| if name == "registryBase" { "registry.invalid" } else { "placeholder" };
    let mut fields: BTreeMap<_, _> =
        required.map(|s| (s.name.clone(), placeholder(&s.name).to_owned())).collect();
    fields.extend(given.iter().cloned());
    fields
}

fn connect(
    library: &LoadedLibrary,
    description: &Description,
    fields: impl Iterator<Item = (String, String)>,
    offline: &Arc<Offline>,
) -> CallResult<Session> {
    let fields = fields.map(|(name, value)| (name, SecretString::from(value)));
    let registry_type = description.types.first().map(String::as_str).unwrap_or_default();
    library.connect(&Settings::new(registry_type, fields, false), Arc::clone(offline) as Arc<_>)
}

/// Each setting that the description calls required is one: without it there is no session, and the error says so.
fn refuses_what_lacks(
    library: &LoadedLibrary,
    description: &Description,
    fields: &BTreeMap<String, String>,
) -> Looked<()> {
    let required: Vec<&str> =
        description.settings.iter().filter(|s| s.required).map(|s| s.name.as_str()).collect();
    for missing in &required {
        let rest = fields.iter().filter(|(name, _)| name != missing);
        let rest = rest.map(|(name, value)| (name.clone(), value.clone()));
        match connect(library, description, rest, &Arc::default()) {
            Ok(_) => {
                return failed(format!(
                    "the description says that {missing} is required, and `connect` does without: read it by \
                     `settings.required_text` or `required_secret`, or describe it as `required: false`"
                ));
            }
            Err(error) => match fault(&error) {
                Some(fault) => return failed(format!("without {missing}: {fault}")),
                None if error.class() != Class::Invalid => {
                    return failed(format!(
                        "without {missing} it says {:?} ({}), which is not about a setting",
                        error.message(),
                        error.code()
                    ));
                }
                None => {}
            },
        }
    }
    match required.as_slice() {
        [] => Err((Outcome::Skipped, "it requires none".to_owned())),
        names => Ok(((), format!("it refuses a connection without {}", names.join(", or without ")))),
    }
}

/// A session with the settings, for which no request is sent.
fn connected(
    library: &LoadedLibrary,
    description: &Description,
    fields: &BTreeMap<String, String>,
) -> Looked<(Session, Arc<Offline>)> {
    let offline = Arc::new(Offline::default());
    let all = fields.iter().map(|(name, value)| (name.clone(), value.clone()));
    match connect(library, description, all, &offline) {
        Ok(_) if offline.requests() > 0 => failed("it sends requests before it is asked for anything"),
        Ok(session) => Ok(((session, offline), "it takes its settings and sends nothing".to_owned())),
        Err(error) => match fault(&error) {
            Some(fault) => failed(fault),
            // It may want more of a value than that there is one.
            None => Err((
                Outcome::Skipped,
                format!("it does not take the placeholders: {}; give values with --field", error.message()),
            )),
        },
    }
}

/// What authors hold their drivers against, as far as it needs no registry that works.
fn keeps_contract(library: &LoadedLibrary, fields: BTreeMap<String, String>) -> Looked<()> {
    let values: Vec<_> = fields.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect();
    let breaches = probe(library, &values);
    if breaches.is_empty() {
        return Ok((
            (),
            "it says what is wrong at registries that fail, and reaches only declared hosts".to_owned(),
        ));
    }
    failed(breaches.join("; "))
}

/// What is wrong with an error itself: a panic, or one that tells nobody anything.
fn fault(error: &Error) -> Option<String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if error.code() == PANICKED {
        Some(format!("it panics: {}", error.message()))
    } else if error.code().is_empty() || !error.code().bytes().all(plain) {
        Some(format!("its error code {:?} is not lower case letters, digits and underscores", error.code()))
    } else if error.message().trim().is_empty() {
        Some(format!("its error {} has no message", error.code()))
    } else {
        None
    }
}

/// Each call, without a network to answer it: it ends, and a panic in it is caught and told.
async fn calls(session: &Session, offline: &Offline) -> Result<(), Failure> {
    let page = || PageRequest { size: 10, after: None };
    let repository: RepositoryName = "library/app".parse().expect("it is a name");
    let reference: Reference = "1".parse().expect("it is a tag");
    let access = Access { repository: repository.clone(), renew: false };
    call("validate", offline, session.validate()).await?;
    call("repositories", offline, session.repositories(page())).await?;
    call("tags", offline, session.tags(&repository, page())).await?;
    call("tag details", offline, session.tag_details(&repository, page())).await?;
    call("authorize", offline, session.authorize(access)).await?;
    call("manifest", offline, session.manifest(&repository, &reference)).await?;
    call("blob", offline, session.open_blob(&repository, &Digest::sha256(b""))).await
}

async fn call<T>(
    name: &str,
    offline: &Offline,
    call: impl Future<Output = CallResult<T>>,
) -> Result<(), Failure> {
    let before = offline.requests();
    let looked = async {
        let answer = tokio::time::timeout(CALL_TIMEOUT, call).await;
        let asked = offline.requests() - before;
        match answer {
            Err(_) => failed(format!("it does not end within {} s", CALL_TIMEOUT.as_secs())),
            Ok(Ok(_)) => Ok(((), format!("it answers, after {asked} requests"))),
            Ok(Err(error)) => match fault(&error) {
                Some(fault) => failed(fault),
                None => Ok(((), format!("it ends with an error: {} ({})", error.message(), error.code()))),
            },
        }
    };
    step_of(name, looked).await.map(|_| ())
}
