//! `regent doctor`: what an operator would look at, in the order in which it fails.

use std::path::Path;

use regent_plugin_api::{Description, Outcome};
use regent_transport::{Class, Fault};

use super::{Failure, RegistryArgs, connection, output, parts};
use crate::connection::Connection;
use crate::drivers::DriverInfo;
use crate::registry;

pub(super) async fn run(arguments: &RegistryArgs) -> Result<(), Failure> {
    let mut report = Report::default();
    let settings = parts::settings()?;
    let set: Vec<String> = settings.effective().map(|(name, value)| format!("{name}={value}")).collect();
    report.good(&format!(
        "settings: {}",
        if set.is_empty() { "all at their defaults".into() } else { set.join(" ") }
    ));
    report.data_directory(&settings.data_dir);
    let parts = parts::Parts::new(settings, arguments.plain_http)?;

    let drivers = parts.drivers.list();
    let serving = drivers.iter().filter(|d| d.serves()).count();
    if serving == 0 {
        let directory = parts.settings.plugin_dir();
        report.bad(&format!("drivers: none in {}; set REGENT_PLUGIN_DIR", directory.display()));
    } else {
        report.good(&format!("drivers: {serving} of {} files serve (`regent drivers list`)", drivers.len()));
    }
    for driver in &drivers {
        if let Some(reason) = driver.state.reason() {
            report.note(&format!("driver {} is {}: {reason}", driver.label(), driver.state.as_str()));
        }
    }
    match connection::maybe(arguments, &parts.settings) {
        None => report.good(
            "connection: none in the environment; requests bring their own (to look at one: `regent doctor --type T`)",
        ),
        Some(Err(error)) => report.bad(&format!("connection: {error}")),
        Some(Ok(connection)) => report.connection(&parts, &drivers, &connection).await,
    }
    report.end()
}

#[derive(Default)]
struct Report {
    text: String,
    n_bad: usize,
}

impl Report {
    fn good(&mut self, line: &str) {
        self.text.extend(["ok    ", line, "\n"]);
    }

    fn bad(&mut self, line: &str) {
        self.n_bad += 1;
        self.text.extend(["MEND  ", line, "\n"]);
    }

    fn note(&mut self, line: &str) {
        self.text.extend(["-     ", line, "\n"]);
    }

    fn data_directory(&mut self, directory: &Path) {
        let tried = std::fs::create_dir_all(directory).and_then(|()| tempfile::tempfile_in(directory));
        match tried {
            Ok(_) => self.good(&format!("data: {} is writable", directory.display())),
            Err(e) => {
                self.bad(&format!(
                    "data: {} is not writable ({e}); set REGENT_DATA_DIR",
                    directory.display()
                ));
            }
        }
    }

    /// Driver, settings, hosts, and what the registry says; ends where going on makes no sense.
    async fn connection(&mut self, parts: &parts::Parts, drivers: &[DriverInfo], connection: &Connection) {
        let registry_type = &connection.registry_type;
        let mut serving = drivers.iter().filter(|d| d.serves()).filter_map(|d| d.description.as_ref());
        let description = serving.find(|d| d.serves_type(registry_type));
        if let Some(description) = description {
            self.good(&format!(
                "driver: {} {} ({}) serves the type {registry_type}",
                description.name, description.version, description.summary
            ));
            self.settings(description, connection);
        }
        match parts.open_connection(connection).await {
            Err(failure) => self.bad(&format!("connection: {failure}")),
            Ok(registry) => match registry.validate().await {
                Err(error) => self.bad(&format!("connection: {error}{}", advice(&error))),
                Ok(validation) => {
                    for check in validation.checks {
                        let line = format!("{}: {}: {}", validation.registry, check.name, check.detail);
                        match check.outcome {
                            Outcome::Passed => self.good(&line),
                            Outcome::Skipped => self.note(&line),
                            _ => self.bad(&line),
                        }
                    }
                }
            },
        }
    }

    /// What the connection has of the driver's settings, secrets by name only.
    fn settings(&mut self, description: &Description, connection: &Connection) {
        for setting in &description.settings {
            let name = &setting.name;
            match connection.text(name) {
                Some(_) if setting.secret => self.good(&format!("setting {name}: given, not shown")),
                Some(value) => self.good(&format!("setting {name}: {value}")),
                None if setting.required => self.bad(&format!("setting {name}: missing: {}", setting.help)),
                None => self.note(&format!("setting {name}: not given: {}", setting.help)),
            }
        }
        for field in connection.fields() {
            if !description.settings.iter().any(|setting| setting.name == field) {
                self.note(&format!("setting {field}: the driver {} does not look at it", description.name));
            }
        }
        if !description.egress.is_empty() {
            self.note(&format!(
                "hosts besides the registry that have to be reachable: {}",
                description.egress.join(", ")
            ));
        }
    }

    fn end(self) -> Result<(), Failure> {
        output::write(None, self.text.as_bytes())?;
        match self.n_bad {
            0 => Ok(()),
            1 => Err(Failure::other("one thing to mend")),
            n => Err(Failure::other(format!("{n} things to mend"))),
        }
    }
}

/// What to look at next, where the error itself does not say.
fn advice(error: &registry::Error) -> &'static str {
    match error.class() {
        Class::Unavailable | Class::Timeout => {
            "; look at DNS, firewalls and HTTPS_PROXY between this machine and the registry, and at NODE_EXTRA_CA_CERTS if \
             its certificate is of your own authority"
        }
        Class::Authentication => "; look at the credentials, and whether they have expired",
        Class::Refused => "; REGENT_INSECURE_REGISTRIES and REGENT_TOKEN_SERVICES say what may be reached",
        _ => "",
    }
}
