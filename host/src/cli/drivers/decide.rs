//! `regent drivers enable`, `disable`, `quarantine`: what lasts, and what a running agent notices.

use crate::cli::{Failure, output, parts};
use crate::drivers::{Change, DriverInfo, decide};

/// Uses a driver or a file again. One that is not there any more may still be named.
pub(super) fn enable(named: &str) -> Result<(), Failure> {
    let desk = Desk::new()?;
    let found: Vec<&DriverInfo> = desk.find(named).collect();
    let mut drivers: Vec<String> =
        found.iter().filter_map(|info| Some(info.description.as_ref()?.name.clone())).collect();
    let mut files: Vec<String> = found.iter().filter_map(|i| Some(i.digest.as_ref()?.to_string())).collect();
    drivers.push(named.to_owned());
    files.push(named.to_owned());
    let n = desk.decide(&Change::Enable { drivers, files }, "")?;
    if n == 0 {
        return Err(Failure::not_there(format!("nothing named {named} is disabled or quarantined")));
    }
    output::write(None, format!("enabled      {named}\n").as_bytes())
}

/// Uses none of a driver's files any more.
pub(super) fn disable(named: &str, reason: &str) -> Result<(), Failure> {
    let desk = Desk::new()?;
    let mut names: Vec<&str> =
        desk.find(named).filter_map(|info| Some(info.description.as_ref()?.name.as_str())).collect();
    names.dedup();
    for driver in desk.known(names, named)? {
        desk.decide(&Change::Disable { driver: driver.to_owned() }, reason)?;
        output::write(None, format!("disabled     {driver}  {reason}\n").as_bytes())?;
    }
    Ok(())
}

/// Uses these bytes no more.
pub(super) fn quarantine(named: &str, reason: &str) -> Result<(), Failure> {
    let desk = Desk::new()?;
    let files = desk.find(named).filter_map(|info| Some((info.digest.clone()?, info.label()))).collect();
    for (digest, file) in desk.known(files, named)? {
        let line = format!("quarantined  {file}  {digest}  {reason}\n");
        desk.decide(&Change::Quarantine { digest, file }, reason)?;
        output::write(None, line.as_bytes())?;
    }
    Ok(())
}

/// The drivers, and where it is decided about them.
struct Desk {
    parts: parts::Parts,
    infos: Vec<DriverInfo>,
}

impl Desk {
    fn new() -> Result<Self, Failure> {
        let parts = parts::Parts::new(parts::settings()?, false)?;
        let infos = parts.drivers.list();
        Ok(Self { parts, infos })
    }

    /// The files of a driver, or the one of this name.
    fn find(&self, named: &str) -> impl Iterator<Item = &DriverInfo> {
        self.infos.iter().filter(move |info| {
            info.label() == named || info.description.as_ref().is_some_and(|d| d.name == named)
        })
    }

    fn known<T>(&self, found: Vec<T>, named: &str) -> Result<Vec<T>, Failure> {
        if found.is_empty() {
            let directory = self.parts.settings.plugin_dir();
            let message = format!("{} holds no driver or driver file {named}", directory.display());
            return Err(Failure::not_there(message));
        }
        Ok(found)
    }

    fn decide(&self, change: &Change, reason: &str) -> Result<usize, Failure> {
        decide(&self.parts.settings.data_dir, change, reason)
            .map_err(|error| Failure::other(format!("it can't be noted: {error}")))
    }
}
