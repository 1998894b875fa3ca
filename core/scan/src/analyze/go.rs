//! Go programs: the modules that were built into them.

use super::{ANY_END, About, Analyzer, Reported, View, Want};
use crate::application::{
    Application, ApplicationKind, Component, Content, Dependencies, Ecosystem, Root, TestedFiles,
};
use crate::distil::{Distil, Distilled, Executable, ExecutableFault, GoModule, GoProgram};
use crate::finding::{Findings, Gap};
use crate::graph::Graph;
use crate::overlay::OverlayFile;

/// Which files may be executables, for people (`distil::executable::may_be`).
pub(super) const EXECUTABLES: &[&str] = &[
    "files that someone may run",
    "**/*.so",
    "**/*.so.*",
    "**/*.node",
    "names without an extension, outside of directories for data",
];

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Go programs",
        detects: "The modules that were built in, with the packages of them that were linked where the program tells, \
            and the standard library: from the build information of ELF executables and libraries.",
        files: EXECUTABLES,
        limits: &["1 GiB a program", "4 MiB of build information", "50,000 modules", "500,000 source files"],
        reported: Reported::Everywhere,
    },
    files: &[],
    directories: &[],
    ends: ANY_END,
    pattern: any_file,
    run,
};

/// Executables have any name: their mode and their content tell them.
pub(super) fn any_file(_: &str) -> Want {
    Want::distilled(Distil::Executable)
}

/// The executables of the merged view, each once, however many names it has.
pub(super) fn executables<'a>(view: &'a View<'_>) -> impl Iterator<Item = (&'a OverlayFile, &'a Executable)> {
    view.overlay.files().filter_map(|file| match &file.kept.distilled {
        Some(Distilled::Executable(executable)) if !view.overlay.is_second_name(file) => {
            Some((file, executable))
        }
        _ => None,
    })
}

fn run(view: &View<'_>, findings: &mut Findings) {
    for (file, executable) in executables(view) {
        let reason = match executable {
            Executable::Go(program) => {
                add(program, file, findings);
                continue;
            }
            Executable::Unreadable(ExecutableFault::TooLarge) => "it has more than 1 GiB",
            Executable::Unreadable(ExecutableFault::NotKept) => "its layer could not be read again for it",
            Executable::Unreadable(ExecutableFault::NoRoom) => {
                "its layer has more in large programs than goes through temporary files"
            }
            Executable::Unreadable(ExecutableFault::BuildInfo) => "its build information is damaged",
            _ => continue,
        };
        findings.gaps.push(gap(file, "executable_unreadable", reason));
    }
}

/// A gap about a file.
pub(super) fn gap(file: &OverlayFile, code: &'static str, reason: &str) -> Gap {
    Gap { path: file.path.clone(), code, reason: reason.to_owned() }
}

fn add(program: &GoProgram, file: &OverlayFile, findings: &mut Findings) {
    let graph = graph(program);
    if graph.is_cut() {
        findings.gaps.push(gap(file, "dependency_limit_reached", "the program has too many packages"));
    }
    let components = components(program, file);
    if !program.has_modules && components.is_empty() {
        return;
    }
    findings.add(Application {
        kind: ApplicationKind::Go,
        target_file: file.path.as_str().to_owned(),
        components,
        content: if program.has_modules {
            Content::Dependencies {
                root: root(program),
                dependencies: Dependencies::Graph(graph),
                tested_files: TestedFiles::None,
            }
        } else {
            Content::Unreported
        },
    });
}

fn root(program: &GoProgram) -> Root {
    let name = match &program.main {
        Some(main) => main.name.clone(),
        None => format!("go-distribution@{}", program.path),
    };
    Root { name, version: None }
}

/// Packages where the program tells which were linked, else modules; all of them direct dependencies.
fn graph(program: &GoProgram) -> Graph {
    let mut graph = Graph::default();
    let mut add = |name: &str, version: &str| {
        let given = Some(version).filter(|version| !version.is_empty());
        let place = graph.add(&format!("{name}@{version}"), name, given, []);
        if let Some(place) = place {
            graph.connect(None, place);
        }
    };
    match &program.packages {
        Some(packages) => {
            for package in packages {
                if let Some(module) = program.modules.get(package.module) {
                    add(&package.name, &module.version);
                }
            }
        }
        None => program.modules.iter().for_each(|module| add(&module.name, &module.version)),
    }
    if let Some(version) = standard_library(&program.version) {
        add("stdlib", &version);
    }
    graph
}

/// The version of the standard library, of three parts: that of the release the toolchain was made from. A release
/// candidate's is written as in Go's vulnerability database. `None` for a toolchain of no release.
fn standard_library(toolchain: &str) -> Option<String> {
    let text = toolchain.strip_prefix("go")?;
    let mut parts = [None, None, None];
    let mut rest = text;
    for part in &mut parts {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at_checked(end)?;
        if digits.is_empty() {
            break;
        }
        *part = Some(digits);
        rest = after;
        match after.strip_prefix('.') {
            Some(after) => rest = after,
            None => break,
        }
    }
    let [Some(major), Some(minor), patch] = parts else { return None };
    let release = format!("{major}.{minor}.{}", patch.unwrap_or("0"));
    for kind in ["rc", "beta"] {
        if let Some(number) = rest.strip_prefix(kind) {
            let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
            return Some(format!("{release}-{kind}.{}", number.get(..end)?));
        }
    }
    Some(release)
}

/// The program's own module, what it was built from, and the standard library.
fn components(program: &GoProgram, file: &OverlayFile) -> Vec<Component> {
    let component = |name: &str, version: Option<String>| {
        Component::new(Ecosystem::Golang, "", version, file.path.clone(), file.layer).with_full_name(name)
    };
    let of_module = |module: &GoModule| component(&module.name, version(module));
    let mut modules: Vec<Component> = program.modules.iter().map(of_module).collect();
    if let Some(version) = standard_library(&program.version) {
        modules.push(component("stdlib", Some(version)));
    }
    let mut own = match &program.main {
        Some(main) => of_module(main),
        // A package that was built by its path, not one of the toolchain's own or from the command line.
        None if program.path.split('/').next().is_some_and(|first| first.contains('.')) => {
            component(&program.path, None)
        }
        None => return modules,
    };
    own.depends = (1..=modules.len()).collect();
    modules.insert(0, own);
    modules
}

/// The version that was built. A directory has none.
fn version(module: &GoModule) -> Option<String> {
    let is_told = !module.is_local && !module.version.is_empty() && module.version != "(devel)";
    is_told.then(|| module.version.clone())
}

#[cfg(test)]
mod tests;
