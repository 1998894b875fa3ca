//! Whether what crosses the ABI has the same layout on both sides.

use abi_stable::abi_stability::abi_checking::{
    AbiInstability, AbiInstabilityErrors, CheckingGlobals, check_layout_compatibility_with_globals,
};
use abi_stable::type_layout::{TLFieldOrFunction, TypeLayout};

/// A difference.
#[derive(Debug)]
pub(super) struct Mismatch {
    /// The first one, in a line.
    pub(super) summary: Box<str>,
    /// All of it.
    pub(super) report: Box<str>,
}

/// Checks that the older side's layout is a beginning of the newer side's.
///
/// `abi_stable` itself asks that the library has all that the program has, and so refuses every older driver. Asking
/// the older side first makes both directions work: what it lacks has a default. The memory of earlier checks, which
/// `abi_stable` keeps for the process, has to be empty each time, or the order of loading would decide.
pub(super) fn check(older: &'static TypeLayout, newer: &'static TypeLayout) -> Result<(), Mismatch> {
    check_layout_compatibility_with_globals(older, newer, &CheckingGlobals::new())
        .map_err(|errors| Mismatch { summary: summary(&errors).into(), report: errors.to_string().into() })
}

fn summary(errors: &AbiInstabilityErrors) -> String {
    let innermost = errors.errors.iter().max_by_key(|e| e.stack_trace.len());
    let Some(error) = innermost else { return "unknown difference".to_owned() };
    let place = match error.stack_trace.last().map(|fields| fields.expected) {
        Some(TLFieldOrFunction::Field(field)) => field.layout().name().to_owned(),
        Some(TLFieldOrFunction::Function(_)) => "a function".to_owned(),
        None => errors.interface.name().to_owned(),
    };
    let what = error.errs.first().map_or_else(|| "different".to_owned(), difference);
    format!("{place}: {what}")
}

fn difference(error: &AbiInstability) -> String {
    use AbiInstability as Is;
    match error {
        Is::UnexpectedField(f) => {
            format!("field {} where {} was expected", f.found.name(), f.expected.name())
        }
        Is::FieldCountMismatch(n) => format!("{} fields where {} were expected", n.found, n.expected),
        Is::Size(n) => format!("{} bytes where {} were expected", n.found, n.expected),
        Is::Name(n) => format!("type {} where {} was expected", n.found.name(), n.expected.name()),
        // The variant's name; what is in it runs to kilobytes.
        other => {
            let text = format!("{other:?}");
            text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
        }
    }
}
