//! Specifications of installed gems. `RubyGems` writes them itself, one statement a line, so that they can be read without
//! running them: what it is and depends on is kept, and lists of files, which are most of some, are left out.

use std::io;

use serde::{Deserialize, Serialize};

use super::{Distilled, Distiller};

/// Bytes of one that are looked at. Name, version and licences stand at the beginning.
const MAX_BYTES: usize = 1 << 20;
/// Licences or dependencies of one gem, at most.
const MAX_NAMES: usize = 1000;

/// What a specification says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gemspec {
    /// The gem's name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The platform that it was built for, where that is not any that runs Ruby.
    pub platform: Option<String>,
    /// Its licences, as its author writes them.
    pub licenses: Vec<String>,
    /// Names of gems that it needs to run.
    pub depends: Vec<String>,
}

impl Gemspec {
    /// Reads the text of a specification that `RubyGems` wrote.
    pub fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut spec = Self::default();
        let (mut runtime, mut either, mut development) = (Vec::new(), Vec::new(), Vec::new());
        for line in text.lines().map(str::trim) {
            if let Some(stub) = line.strip_prefix("# stub: ") {
                let mut words = stub.split(' ').map(str::to_owned);
                (spec.name, spec.version, spec.platform) = (words.next(), words.next(), words.next());
                continue;
            }
            let Some((_, statement)) = line.split_once('.') else { continue };
            let value = |field: &str| statement.strip_prefix(field)?.trim_start().strip_prefix('=');
            let first = |field: &str| literals(value(field)?).next().map(str::to_owned);
            let argument = |method: &str| literals(statement.strip_prefix(method)?).next();
            if let Some(name) = argument("add_runtime_dependency") {
                runtime.push(name);
            } else if let Some(name) = argument("add_development_dependency") {
                development.push(name);
            } else if let Some(name) = argument("add_dependency") {
                either.push(name);
            } else if let Some(licenses) = value("licenses").or_else(|| value("license")) {
                spec.licenses = literals(licenses).take(MAX_NAMES).map(str::to_owned).collect();
            } else {
                spec.name = spec.name.or_else(|| first("name"));
                spec.version = spec.version.or_else(|| first("version"));
                spec.platform = spec.platform.or_else(|| first("platform"));
            }
        }
        spec.platform = spec.platform.filter(|platform| platform != "ruby");
        // For RubyGems before 1.2, which knew one kind only, all dependencies are written a second time.
        if runtime.is_empty() {
            let development: std::collections::HashSet<&str> = development.into_iter().collect();
            runtime = either.into_iter().filter(|name| !development.contains(name)).collect();
        }
        let mut seen = std::collections::HashSet::new();
        runtime.retain(|name| seen.insert(*name));
        spec.depends = runtime.into_iter().take(MAX_NAMES).map(str::to_owned).collect();
        spec
    }

    pub(super) fn cost_bytes(&self) -> usize {
        let texts = [&self.name, &self.version, &self.platform].into_iter().flatten();
        texts
            .chain(&self.licenses)
            .chain(&self.depends)
            .map(|text| text.len() + size_of::<String>())
            .sum::<usize>()
    }
}

/// The texts in a piece of Ruby: `"a"`, `'a'`, `%q<a>` and `%q{a}`. In none of those that matter is anything escaped.
fn literals(code: &str) -> impl Iterator<Item = &str> {
    let mut rest = code;
    std::iter::from_fn(move || {
        let (_, from) = rest.split_at(rest.find(['"', '\'', '%'])?);
        let (opening, closing) = match from.as_bytes() {
            [b'"', ..] => (1, '"'),
            [b'\'', ..] => (1, '\''),
            [b'%', b'q', b'<', ..] => (3, '>'),
            [b'%', b'q', b'{', ..] => (3, '}'),
            _ => return None,
        };
        let (_, inside) = from.split_at_checked(opening)?;
        let (text, after) = inside.split_once(closing)?;
        rest = after;
        Some(text)
    })
}

/// Collects the text.
#[derive(Debug, Default)]
pub(super) struct Reader {
    text: Vec<u8>,
}

impl Distiller for Reader {
    fn take(&mut self, piece: &[u8]) -> bool {
        let room = MAX_BYTES - self.text.len();
        self.text.extend_from_slice(piece.get(..room).unwrap_or(piece));
        self.text.len() < MAX_BYTES
    }

    fn finish(self: Box<Self>) -> io::Result<Option<Distilled>> {
        Ok((!self.text.is_empty()).then(|| Distilled::Gemspec(Gemspec::parse(&self.text))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_with_a_stub_is_what_the_stub_says() {
        let spec = Gemspec::parse(
            br#"# -*- encoding: utf-8 -*-
# stub: nokogiri 1.16.5 x86_64-linux lib

Gem::Specification.new do |s|
  s.name = "nokogiri".freeze
  s.version = "1.16.5"
  s.platform = "x86_64-linux".freeze
  s.metadata = { "homepage_uri" => "https://nokogiri.org" } if s.respond_to? :metadata=
  s.licenses = ["MIT".freeze, "Apache-2.0".freeze]
  s.required_ruby_version = Gem::Requirement.new([">= 3.0".freeze, "< 3.4.dev".freeze])

  s.specification_version = 4

  s.add_runtime_dependency(%q<racc>.freeze, ["~> 1.4".freeze])
end
"#,
        );
        let expected = Gemspec {
            name: Some("nokogiri".into()),
            version: Some("1.16.5".into()),
            platform: Some("x86_64-linux".into()),
            licenses: vec!["MIT".into(), "Apache-2.0".into()],
            depends: vec!["racc".into()],
        };
        assert_eq!(spec, expected);
    }

    #[test]
    fn older_specifications_are_read_by_their_statements() {
        let spec = Gemspec::parse(
            br#"Gem::Specification.new do |s|
  s.name = %q{old}
  s.version = Gem::Version.new('1.0.1')
  s.license = 'BSD'
  if s.respond_to? :specification_version then
    s.add_development_dependency(%q<rake>, [">= 0"])
    s.add_dependency(%q<rack>, ["~> 1.0"])
  else
    s.add_dependency(%q<rack>, ["~> 1.0"])
    s.add_dependency(%q<rake>, [">= 0"])
  end
end
"#,
        );
        assert_eq!((spec.name.as_deref(), spec.version.as_deref()), (Some("old"), Some("1.0.1")));
        assert_eq!(
            (spec.platform, spec.licenses, spec.depends),
            (None, vec!["BSD".into()], vec!["rack".into()])
        );
    }

    #[test]
    fn arbitrary_code_tells_nothing() {
        for text in ["", "\"", "s.name = ", "%q", "s.name = %w[a]", "s.version = \"", "é.é"] {
            assert_eq!(Gemspec::parse(text.as_bytes()), Gemspec::default(), "{text}");
        }
    }
}
