//! `cargo xtask demo`: builds the program and its drivers and lets `regent demo` show the main job.

use std::process::Command;

use anyhow::Result;

use crate::command::{self, cargo, drivers, stage_plugins, target};

pub(crate) fn run() -> Result<()> {
    let mut build = cargo();
    build.args(["build", "--package", "regent-host"]);
    for driver in drivers()? {
        build.args(["--package", &format!("regent-driver-{driver}")]);
    }
    command::run(&mut build)?;
    let folder = target().join("debug");
    stage_plugins(&folder)?;
    command::run(Command::new(folder.join("regent")).arg("demo"))
}
