//! The description as JSON, written while the driver compiles.

#![expect(
    clippy::indexing_slicing,
    reason = "runs at compile time, where nothing else is possible and a fault is a compile error"
)]

/// What [`export_driver!`](crate::export_driver) was told. The rest of the description is known here.
#[derive(Debug)]
#[expect(missing_docs, reason = "fields of the description")]
pub struct Meta {
    pub name: &'static str,
    pub version: &'static str,
    pub summary: &'static str,
    pub types: &'static [&'static str],
    pub settings: &'static [MetaSetting],
    pub egress: &'static [&'static str],
    pub env: &'static [&'static str],
    pub capabilities: &'static [&'static str],
}

/// One setting in [`Meta`].
#[derive(Debug)]
#[expect(missing_docs, reason = "fields of the description")]
pub struct MetaSetting {
    pub name: &'static str,
    pub required: bool,
    pub secret: bool,
    pub help: &'static str,
}

/// Version of this API.
pub(crate) const API_VERSION: &str = env!("CARGO_PKG_VERSION");
/// Oldest API of a host that a driver of this API runs in: missing host services have default bodies.
const REQUIRES_API: &str = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".0.0");
/// The triple this is built for.
pub(crate) const TARGET: &str = env!("REGENT_BUILD_TARGET");
const RUSTC: &str = env!("REGENT_BUILD_RUSTC");
/// The pinned version in the workspace's manifest.
pub(crate) const ABI_STABLE: &str = "0.11.3";

impl Meta {
    /// The length of the JSON in bytes.
    pub const fn json_len(&self) -> usize {
        self.write(Writer::<0> { bytes: [], at: 0 }).at
    }

    /// The JSON; `N` is [`Meta::json_len`].
    pub const fn json<const N: usize>(&self) -> [u8; N] {
        let written = self.write(Writer { bytes: [0; N], at: 0 });
        assert!(written.at == N, "N is json_len()");
        written.bytes
    }

    const fn write<const N: usize>(&self, w: Writer<N>) -> Writer<N> {
        self.check_name();
        let w = w.raw("{\"format\":1").pair("name", self.name).pair("version", self.version);
        let w = w.pair("api", API_VERSION).pair("requires_api", REQUIRES_API);
        let w = w.pair("target", TARGET).pair("rustc", RUSTC).pair("abi_stable", ABI_STABLE);
        let mut w = w.list("types", self.types).pair("summary", self.summary).raw(",\"settings\":[");
        let mut i = 0;
        while i < self.settings.len() {
            let s = &self.settings[i];
            w = w.raw(if i == 0 { "{\"name\":\"" } else { ",{\"name\":\"" }).text(s.name);
            w = w.raw("\",\"required\":").flag(s.required).raw(",\"secret\":").flag(s.secret);
            w = w.pair("help", s.help).raw("}");
            i += 1;
        }
        let w = w.raw("]").list("egress", self.egress).list("env", self.env);
        w.list("capabilities", self.capabilities).raw("}")
    }

    const fn check_name(&self) {
        let name = self.name.as_bytes();
        assert!(!name.is_empty() && name.len() <= 32, "a driver's name has 1 to 32 characters");
        let mut i = 0;
        while i < name.len() {
            assert!(
                matches!(name[i], b'a'..=b'z' | b'0'..=b'9' | b'-'),
                "a driver's name is lower case letters, digits and hyphens"
            );
            i += 1;
        }
    }
}

/// Writes, or with `N` of 0 only counts.
struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    const fn raw(mut self, text: &str) -> Self {
        let text = text.as_bytes();
        let mut i = 0;
        while i < text.len() {
            if N > 0 {
                self.bytes[self.at] = text[i];
            }
            self.at += 1;
            i += 1;
        }
        self
    }

    const fn text(self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            assert!(
                bytes[i] >= 0x20 && bytes[i] != b'"' && bytes[i] != b'\\',
                "strings in export_driver! may not hold quotes, backslashes or control characters"
            );
            i += 1;
        }
        self.raw(text)
    }

    const fn flag(self, value: bool) -> Self {
        self.raw(if value { "true" } else { "false" })
    }

    const fn pair(self, name: &str, value: &str) -> Self {
        self.raw(",\"").raw(name).raw("\":\"").text(value).raw("\"")
    }

    const fn list(self, name: &str, values: &[&str]) -> Self {
        let mut w = self.raw(",\"").raw(name).raw("\":[");
        let mut i = 0;
        while i < values.len() {
            w = w.raw(if i == 0 { "\"" } else { ",\"" }).text(values[i]).raw("\"");
            i += 1;
        }
        w.raw("]")
    }
}

/// The JSON as text again.
pub const fn text(json: &'static [u8]) -> &'static str {
    match std::str::from_utf8(json) {
        Ok(text) => text,
        Err(_) => "",
    }
}
