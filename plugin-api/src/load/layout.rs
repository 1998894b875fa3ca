//! Whether what crosses the ABI has the same layout on both sides.

use abi_stable::abi_stability::abi_checking::{
    AbiInstabilityErrors, CheckingGlobals, check_layout_compatibility_with_globals,
};
use abi_stable::type_layout::TypeLayout;

/// A difference.
pub(super) struct Mismatch {
    /// The first one, in a line.
    pub(super) summary: String,
    /// All of it.
    pub(super) report: String,
}

/// Checks that the older side's layout is a beginning of the newer side's.
///
/// `abi_stable` itself asks that the library has all that the program has, and so refuses every older driver. Asking
/// the older side first makes both directions work: what it lacks has a default. The memory of earlier checks, which
/// `abi_stable` keeps for the process, has to be empty each time, or the order of loading would decide.
pub(super) fn check(older: &'static TypeLayout, newer: &'static TypeLayout) -> Result<(), Mismatch> {
    check_layout_compatibility_with_globals(older, newer, &CheckingGlobals::new())
        .map_err(|errors| Mismatch { summary: summary(&errors), report: errors.to_string() })
}

fn summary(errors: &AbiInstabilityErrors) -> String {
    let innermost = errors.errors.iter().max_by_key(|e| e.stack_trace.len());
    let Some(error) = innermost else { return "unknown difference".to_owned() };
    let place = error.stack_trace.last().map(|f| f.expected.to_string()).unwrap_or_default();
    let what = error.errs.first().map(|e| format!("{e:?}")).unwrap_or_default();
    let what = what.split(['(', '{']).next().unwrap_or_default().trim().to_owned();
    let place = place.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{what} at {}", place.chars().take(120).collect::<String>())
}
