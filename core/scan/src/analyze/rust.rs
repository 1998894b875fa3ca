//! Rust programs: the crates that were built into them, where `cargo auditable` left a list.

use super::go::{EXECUTABLES, any_file, executables, gap};
use super::{ANY_END, About, Analyzer, Reported, View};
use crate::application::{Application, ApplicationKind, Component, Ecosystem};
use crate::distil::{Crate, Executable, ExecutableFault};
use crate::finding::Findings;
use crate::overlay::OverlayFile;

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Rust programs (cargo auditable)",
        detects: "The crates that were built in: from the list in ELF executables and libraries.",
        files: EXECUTABLES,
        limits: &["1 GiB a program", "4 MiB of list", "50,000 crates"],
        reported: Reported::Additions,
    },
    files: &[],
    directories: &[],
    ends: ANY_END,
    pattern: any_file,
    run,
};

fn run(view: &View<'_>, findings: &mut Findings) {
    for (file, executable) in executables(view) {
        match executable {
            Executable::Rust(crates) => {
                let components = crates.iter().map(|one| component(one, file)).collect();
                findings.add(Application::unreported(ApplicationKind::Cargo, &file.path, components));
            }
            Executable::Unreadable(ExecutableFault::CrateList) => {
                findings.gaps.push(gap(file, "executable_unreadable", "the list of its crates is damaged"));
            }
            _ => {}
        }
    }
}

fn component(one: &Crate, file: &OverlayFile) -> Component {
    let version = Some(one.version.clone()).filter(|version| !version.is_empty());
    Component {
        depends: one.depends.clone(),
        ..Component::new(Ecosystem::Cargo, &one.name, version, file.path.clone(), file.layer)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::super::tests::{file, overlay_of};
    use crate::application::Content;
    use crate::distil::executable::tests::build::Program;
    use crate::interest::Interest;

    #[test]
    fn the_crates_of_a_program_are_components_of_an_application_that_results_leave_out() {
        let list = br#"{"packages":[
            {"name":"memchr","version":"2.7.4","source":"crates.io"},
            {"name":"tool","version":"0.2.0","source":"local","dependencies":[0],"root":true}]}"#;
        let mut section = ZlibEncoder::new(Vec::new(), Compression::default());
        section.write_all(list).unwrap();
        let program = |crates| Program { version: "", table_name: "", crates, ..Program::default() }.build();
        let files = vec![
            file("/usr/bin/tool", &program(section.finish().unwrap())),
            file("/usr/bin/damaged", &program(b"damaged".to_vec())),
        ];
        let findings = crate::analyze(&overlay_of([files].into_iter()), &Interest::default());
        let [application] = findings.applications.as_slice() else { panic!("one program") };
        assert_eq!(application.content, Content::Unreported);
        let shown: Vec<_> = application
            .components
            .iter()
            .map(|c| (c.name.as_str(), c.version.as_deref(), c.depends.as_slice()))
            .collect();
        assert_eq!(shown, [("memchr", Some("2.7.4"), &[][..]), ("tool", Some("0.2.0"), &[0])]);
        let gaps: Vec<_> = findings.gaps.iter().map(|gap| (gap.path.as_str(), gap.code)).collect();
        assert_eq!(gaps, [("/usr/bin/damaged", "executable_unreadable")]);
    }
}
