//! Settings of drivers: which are loaded, which serves what, and what they show to registries.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{DriverTrust, Reader, parse};
use crate::drivers::{Isolation, Isolations, Watch};

impl<L: Fn(&str) -> Option<String>> Reader<'_, L> {
    pub(super) fn bindings(&mut self) -> BTreeMap<String, String> {
        let pairs = self.parsed("REGENT_DRIVER_BINDINGS", |t| {
            parse::list(t)
                .iter()
                .map(|pair| match pair.split_once('=') {
                    Some((t, d)) if !t.is_empty() && !d.is_empty() => {
                        Ok((t.to_ascii_lowercase(), d.to_owned()))
                    }
                    _ => Err(format!("must hold pairs such as harbor-cr=harbor, not {pair}")),
                })
                .collect::<Result<_, _>>()
        });
        pairs.unwrap_or_default()
    }

    pub(super) fn client_certificates(&mut self) -> Vec<(String, PathBuf)> {
        let pairs = self.parsed("REGENT_CLIENT_CERTIFICATES", |t| {
            parse::list(t)
                .iter()
                .map(|pair| match pair.split_once('=') {
                    Some((host, file)) if !host.is_empty() && !file.is_empty() => {
                        Ok((host.to_ascii_lowercase(), PathBuf::from(file)))
                    }
                    _ => Err(format!(
                        "must hold pairs such as registry.example.com=/etc/regent/client.pem, not {pair}"
                    )),
                })
                .collect::<Result<_, _>>()
        });
        pairs.unwrap_or_default()
    }

    pub(super) fn driver_trust(&mut self) -> DriverTrust {
        let trust = self.word("REGENT_DRIVER_TRUST", |w| match w {
            "pinned" => DriverTrust::Pinned,
            "signed" => DriverTrust::Signed,
            _ => DriverTrust::Directory,
        });
        trust.unwrap_or(DriverTrust::Directory)
    }

    pub(super) fn driver_keys(&mut self) -> Vec<String> {
        let keys = self.text("REGENT_DRIVER_KEYS").map(|t| parse::list(&t)).unwrap_or_default();
        if keys.is_empty() && (self.lookup)("REGENT_DRIVER_TRUST").is_some_and(|t| t.trim() == "signed") {
            self.faults
                .push(("REGENT_DRIVER_KEYS", "must be set where REGENT_DRIVER_TRUST is signed".to_owned()));
        }
        keys
    }

    pub(super) fn driver_isolations(&mut self) -> Isolations {
        let read = self.parsed("REGENT_DRIVER_ISOLATION", |t| {
            let mut isolations = Isolations::default();
            for item in parse::list(t) {
                let (name, word) = item.split_once('=').map_or((None, item.as_str()), |(n, w)| (Some(n), w));
                let isolation = Isolation::of_word(word).filter(|_| name != Some("")).ok_or_else(|| {
                    format!("must hold thread, process, or pairs such as harbor=process, not {item}")
                })?;
                match name {
                    Some(name) => drop(isolations.named.insert(name.to_owned(), isolation)),
                    None => isolations.others = isolation,
                }
            }
            Ok(isolations)
        });
        let memory_bytes = self.parsed("REGENT_DRIVER_MEMORY", parse::positive);
        Isolations { memory_bytes, ..read.unwrap_or_default() }
    }

    pub(super) fn driver_watch(&mut self) -> Watch {
        let watch = self.word("REGENT_DRIVER_WATCH", |w| match w {
            "notify" => Watch::Notify,
            "poll" => Watch::Poll,
            _ => Watch::Auto,
        });
        watch.unwrap_or_default()
    }
}
