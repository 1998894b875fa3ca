//! Lock files as Bundler writes them, and specifications as `RubyGems` does.

use super::super::tests::{file, overlay_of};
use super::*;
use crate::application::Content;
use crate::application::HashAlgorithm;
use crate::interest::Interest;

fn findings(files: &[(&str, &str)]) -> Findings {
    let layer = files.iter().map(|(path, text)| file(path, text.as_bytes())).collect();
    crate::analyze(&overlay_of([layer].into_iter()), &Interest::default())
}

const LOCK: &str = "GIT
  remote: https://github.com/acme/widget.git
  revision: 0123abcd
  branch: main
  specs:
    widget (0.3.0)
      rack (>= 2)

PATH
  remote: .
  specs:
    own (1.0)
      rack

GEM
  remote: https://rubygems.org/
  specs:
    nokogiri (1.16.5)
      mini_portile2 (~> 2.8.2)
      racc (~> 1.4)
    nokogiri (1.16.5-x86_64-linux)
      racc (~> 1.4)
    racc (1.8.0)
    rack (3.0.11)

PLATFORMS
  ruby
  x86_64-linux

DEPENDENCIES
  nokogiri
  own!
  widget!

CHECKSUMS
  nokogiri (1.16.5-x86_64-linux) sha256=AB34567890123456789012345678901234567890123456789012345678901234
  racc (1.8.0) sha256=short
  rack (3.0.11)

BUNDLED WITH
   2.5.10
";

#[test]
fn a_lock_file_tells_gems_with_their_platforms_sources_and_checksums() {
    let findings = findings(&[("/app/Gemfile.lock", LOCK)]);
    assert_eq!(findings.gaps, []);
    let [application] = findings.applications.as_slice() else { panic!("one application") };
    assert_eq!(application.target_file, "/app/Gemfile.lock");
    assert_eq!(application.content, Content::Unreported);
    let gems: Vec<_> = application
        .components
        .iter()
        .map(|gem| (gem.name.as_str(), gem.version.as_deref().unwrap(), gem.depends.as_slice()))
        .collect();
    let expected: [(&str, &str, &[usize]); 5] = [
        ("widget", "0.3.0", &[4]),
        ("nokogiri", "1.16.5", &[3]),
        ("nokogiri", "1.16.5", &[3]),
        ("racc", "1.8.0", &[]),
        ("rack", "3.0.11", &[]),
    ];
    assert_eq!(gems, expected);
    let [widget, _, native, racc, _] = application.components.as_slice() else { panic!("five gems") };
    assert_eq!(widget.qualifiers["vcs_url"], "git+https://github.com/acme/widget.git@0123abcd");
    assert_eq!(native.qualifiers["platform"], "x86_64-linux");
    let hash = "ab34567890123456789012345678901234567890123456789012345678901234";
    assert_eq!(native.hashes.iter().collect::<Vec<_>>(), [&(HashAlgorithm::Sha256, hash.to_owned())]);
    assert!(racc.hashes.is_empty() && racc.qualifiers.is_empty());
}

const RACK: &str =
    "# stub: rack 3.0.11 ruby lib\nGem::Specification.new do |s|\n  s.licenses = [\"MIT\".freeze]\nend\n";
const SINATRA: &str = "# stub: sinatra 4.0.0 ruby lib\nGem::Specification.new do |s|\n  \
    s.add_runtime_dependency(%q<rack>.freeze, [\">= 3.0.0\"])\n  s.add_runtime_dependency(%q<sinatra>.freeze)\nend\n";

#[test]
fn installed_gems_are_told_folder_by_folder_with_licences_and_dependencies() {
    let findings = findings(&[
        ("/usr/local/bundle/specifications/sinatra-4.0.0.gemspec", SINATRA),
        (
            "/usr/local/lib/ruby/gems/3.3.0/specifications/default/json-2.7.1.gemspec",
            "Gem::Specification.new\n",
        ),
        ("/usr/local/bundle/specifications/rack-3.0.11.gemspec", RACK),
        ("/usr/local/lib/ruby/gems/3.3.0/specifications/odd.gemspec", "raise\n"),
    ]);
    let applications: Vec<_> = findings
        .applications
        .iter()
        .map(|application| {
            let gem = |gem: &Component| {
                format!(
                    "{} {} {:?} {:?}",
                    gem.name,
                    gem.version.as_deref().unwrap(),
                    gem.licenses,
                    gem.depends
                )
            };
            (application.target_file.as_str(), application.components.iter().map(gem).collect::<Vec<_>>())
        })
        .collect();
    let expected = [
        (
            "/usr/local/bundle/specifications",
            vec!["sinatra 4.0.0 [] [1]".to_owned(), "rack 3.0.11 [\"MIT\"] []".to_owned()],
        ),
        ("/usr/local/lib/ruby/gems/3.3.0/specifications", vec!["json 2.7.1 [] []".to_owned()]),
    ];
    assert_eq!(applications, expected);
    let gaps: Vec<_> = findings.gaps.iter().map(|gap| (gap.path.as_str(), gap.code)).collect();
    assert_eq!(gaps, [("/usr/local/lib/ruby/gems/3.3.0/specifications/odd.gemspec", "file_unreadable")]);
}

#[test]
fn a_lock_file_that_a_gem_brings_along_is_not_the_applications() {
    let findings = findings(&[
        ("/usr/local/bundle/specifications/rack-3.0.11.gemspec", RACK),
        ("/usr/local/bundle/gems/rack-3.0.11/test/Gemfile.lock", LOCK),
        ("/usr/local/bundle/gems/other/Gemfile.lock", LOCK),
    ]);
    let files: Vec<_> = findings.applications.iter().map(|a| a.target_file.as_str()).collect();
    assert_eq!(files, ["/usr/local/bundle/gems/other/Gemfile.lock", "/usr/local/bundle/specifications"]);
}

#[test]
fn a_lock_file_that_cannot_be_used_is_said_and_an_empty_one_is_none() {
    let many = "    g (1)\n".repeat(50_001);
    let rows = [
        ("GEM\n  specs:\n\nDEPENDENCIES\n", None),
        ("PLATFORMS\n  ruby\n", None),
        ("not a lock\n", Some("sections")),
        ("GEM\n<<<<<<< HEAD\n=======\n", Some("conflict")),
        (&*format!("GEM\n  specs:\n{many}"), Some("more gems")),
    ];
    for (text, expected) in rows {
        let findings = findings(&[("/app/gems.locked", text)]);
        assert_eq!(findings.applications, []);
        assert_eq!(findings.gaps.len(), usize::from(expected.is_some()));
        for gap in &findings.gaps {
            assert!(
                gap.code == "file_unreadable" && gap.reason.contains(expected.unwrap()),
                "{}",
                gap.reason
            );
        }
    }
}
