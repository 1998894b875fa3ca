//! `regent doctor`: what an operator would look at, in the order in which it fails.

use std::path::Path;

use regent_plugin_api::Outcome;

use super::{Failure, output, parts};
use crate::connection::own;
use crate::drivers::DriverState;

pub(super) async fn run() -> Result<(), Failure> {
    let mut report = Report::default();
    let settings = parts::settings()?;
    let set: Vec<String> = settings.effective().map(|(name, value)| format!("{name}={value}")).collect();
    report.good(&format!(
        "settings: {}",
        if set.is_empty() { "all at their defaults".into() } else { set.join(" ") }
    ));
    report.data_directory(&settings.data_dir);
    let parts = parts::Parts::new(settings, false)?;

    let drivers = parts.drivers.list();
    let serving =
        drivers.iter().filter(|d| matches!(d.state, DriverState::Ready | DriverState::Loaded)).count();
    if serving == 0 {
        let directory = parts.settings.plugin_dir();
        report.bad(&format!("drivers: none in {}; set REGENT_PLUGIN_DIR", directory.display()));
    } else {
        report.good(&format!("drivers: {serving} of {} files serve (`regent drivers list`)", drivers.len()));
    }
    match own(&parts.settings.own_connection) {
        None => report.good("connection: none in the environment; requests bring their own"),
        Some(Err(error)) => report.bad(&format!("connection: {error}")),
        Some(Ok(decoded)) => match parts.open_connection(&decoded.connection).await {
            Err(failure) => report.bad(&format!("connection: {failure}")),
            Ok(registry) => match registry.validate().await {
                Err(error) => report.bad(&format!("connection: {error}")),
                Ok(validation) => {
                    for check in validation.checks {
                        let line = format!("{}: {}: {}", validation.registry, check.name, check.detail);
                        match check.outcome {
                            Outcome::Passed | Outcome::Skipped => report.good(&line),
                            _ => report.bad(&line),
                        }
                    }
                }
            },
        },
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

    fn end(self) -> Result<(), Failure> {
        output::write(None, self.text.as_bytes())?;
        match self.n_bad {
            0 => Ok(()),
            1 => Err(Failure::other("one thing to mend")),
            n => Err(Failure::other(format!("{n} things to mend"))),
        }
    }
}
