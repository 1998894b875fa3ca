//! `regent list`.

use super::{Failure, RegistryArgs, output, parts};

pub(super) async fn run(arguments: &RegistryArgs) -> Result<(), Failure> {
    let parts = parts::Parts::new(parts::settings()?, arguments.plain_http)?;
    let registry = parts.open(arguments).await?;
    let mut text = String::new();
    for repository in registry.repositories().await? {
        text.push_str(repository.as_str());
        text.push('\n');
    }
    output::write(None, text.as_bytes())
}
