//! `regent tags`.

use std::fmt::Write as _;

use regent_oci::RepositoryName;

use super::{Failure, RegistryArgs, output, parts};
use crate::told_time;

pub(super) async fn run(
    repository: &RepositoryName,
    details: bool,
    arguments: &RegistryArgs,
) -> Result<(), Failure> {
    let parts = parts::Parts::new(parts::settings()?, arguments.plain_http)?;
    let registry = parts.open(arguments).await?;
    let mut text = String::new();
    if details {
        for detail in registry.tag_details(repository).await? {
            let pushed = detail.pushed.and_then(told_time::exact);
            let size = detail.size_bytes.map(|size| size.to_string());
            let known = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
            // Writing to a String can't fail.
            let _ = writeln!(text, "{}\t{}\t{}\t{}", detail.tag, detail.digest, known(pushed), known(size));
        }
    } else {
        for tag in registry.tags(repository).await? {
            let _ = writeln!(text, "{tag}");
        }
    }
    output::write(None, text.as_bytes())
}
