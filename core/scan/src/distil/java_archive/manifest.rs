//! `META-INF/MANIFEST.MF`: its main section, which tells of the archive as a whole (JAR File Specification).

use serde::{Deserialize, Serialize};

/// What of a manifest is read, in bytes: the sections behind the first tell of single files, one each in signed
/// archives.
pub(super) const MAX_BYTES: usize = 64 << 10;

/// The attributes that say what an archive is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JarManifest {
    /// `Implementation-Title`.
    pub implementation_title: Option<String>,
    /// `Implementation-Version`.
    pub implementation_version: Option<String>,
    /// `Implementation-Vendor-Id`: a Maven group, where tools of Maven wrote it.
    pub implementation_vendor_id: Option<String>,
    /// `Bundle-SymbolicName` of `OSGi`, without its directives.
    pub bundle_symbolic_name: Option<String>,
    /// `Bundle-Version` of `OSGi`.
    pub bundle_version: Option<String>,
    /// `Bundle-License` of `OSGi`: names or addresses of licences, each maybe with attributes.
    pub bundle_license: Option<String>,
}

impl JarManifest {
    /// Reads a manifest, or the beginning of one.
    pub(super) fn parse(text: &[u8]) -> Self {
        let mut manifest = Self::default();
        let mut attribute: Vec<u8> = Vec::new();
        for line in text.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            // Lines have 72 bytes at most, and may be cut inside a character.
            if let Some(rest) = line.strip_prefix(b" ") {
                attribute.extend_from_slice(rest);
                continue;
            }
            manifest.set(&attribute);
            attribute.clear();
            if line.is_empty() {
                return manifest;
            }
            attribute.extend_from_slice(line);
        }
        manifest.set(&attribute);
        manifest
    }

    /// The end of the main section among the first bytes of a manifest, or the end of what is read of it.
    pub(super) fn is_complete(text: &[u8]) -> bool {
        text.len() >= MAX_BYTES
            || memchr::memmem::find(text, b"\n\n").is_some()
            || memchr::memmem::find(text, b"\n\r\n").is_some()
    }

    fn set(&mut self, attribute: &[u8]) {
        let Some(colon) = attribute.iter().position(|&byte| byte == b':') else { return };
        let (name, value) = attribute.split_at(colon);
        let field = match name.to_ascii_lowercase().as_slice() {
            b"implementation-title" => &mut self.implementation_title,
            b"implementation-version" => &mut self.implementation_version,
            b"implementation-vendor-id" => &mut self.implementation_vendor_id,
            b"bundle-symbolicname" => &mut self.bundle_symbolic_name,
            b"bundle-version" => &mut self.bundle_version,
            b"bundle-license" => &mut self.bundle_license,
            _ => return,
        };
        let value = String::from_utf8_lossy(value.get(1..).unwrap_or_default());
        let value = if name.eq_ignore_ascii_case(b"bundle-symbolicname") {
            value.split(';').next().unwrap_or_default()
        } else {
            &value
        };
        let value = value.trim();
        // What a build failed to fill in says nothing.
        *field = (!value.is_empty() && !value.contains("${")).then(|| value.to_owned());
    }

    /// The licences that it names.
    pub fn licenses(&self) -> Vec<String> {
        let text = self.bundle_license.as_deref().unwrap_or_default();
        let mut is_quoted = false;
        let clauses = text.split(|c: char| {
            is_quoted ^= c == '"';
            c == ',' && !is_quoted
        });
        clauses
            .map(|clause| clause.split(';').next().unwrap_or_default().trim().trim_matches('"'))
            .filter(|license| !license.is_empty())
            .map(str::to_owned)
            .collect()
    }

    pub(super) fn cost_bytes(&self) -> usize {
        let Self {
            implementation_title,
            implementation_version,
            implementation_vendor_id,
            bundle_symbolic_name,
            bundle_version,
            bundle_license,
        } = self;
        let names =
            [implementation_title, implementation_version, implementation_vendor_id, bundle_symbolic_name];
        let texts = names.into_iter().chain([bundle_version, bundle_license]);
        texts.filter_map(|text| text.as_ref()).map(String::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_the_main_section_are_read_with_continued_lines() {
        let manifest = JarManifest::parse(
            b"Manifest-Version: 1.0\r\nbundle-symbolicname: org.apache.commons\r\n .csv;singleton:=true\r\n\
              Implementation-Title: Apache Commons CSV\r\nImplementation-Version: ${project.version}\r\n\
              Bundle-Version: 1.9.0\r\n\r\nName: a/B.class\r\nImplementation-Title: not this\r\n",
        );
        assert_eq!(manifest.bundle_symbolic_name.as_deref(), Some("org.apache.commons.csv"));
        assert_eq!(manifest.implementation_title.as_deref(), Some("Apache Commons CSV"));
        assert_eq!(manifest.implementation_version, None);
        assert_eq!(manifest.bundle_version.as_deref(), Some("1.9.0"));
    }

    #[test]
    fn licences_are_listed_without_their_attributes() {
        let rows: [(&str, &[&str]); 4] = [
            ("Apache-2.0", &["Apache-2.0"]),
            (
                "\"EPL-2.0\";link=\"https://a/b,c\", https://www.apache.org/licenses/LICENSE-2.0.txt",
                &["EPL-2.0", "https://www.apache.org/licenses/LICENSE-2.0.txt"],
            ),
            (";,", &[]),
            ("", &[]),
        ];
        for (text, expected) in rows {
            let manifest = JarManifest { bundle_license: Some(text.to_owned()), ..JarManifest::default() };
            assert_eq!(manifest.licenses(), expected, "{text}");
        }
    }
}
