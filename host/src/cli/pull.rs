//! `regent pull`.

use std::path::Path;

use super::{Failure, ImageArgs, output, parts};
use crate::layout;
use crate::scanning::Silent;

pub(super) async fn run(arguments: &ImageArgs, directory: &Path) -> Result<(), Failure> {
    let parts = parts::Parts::new(parts::settings()?, arguments.registry.plain_http)?;
    let (registry, image) = parts.open_image(arguments).await?;
    let resolved = registry.resolve(&image, arguments.platform.as_ref()).await?;
    layout::write(&registry, &resolved, directory, image.tag(), &Silent).await?;
    output::say(format_args!(
        "{image}: {} layers, {} bytes, verified, in {}",
        resolved.image.layers.len(),
        resolved.image.size_bytes(),
        directory.display()
    ));
    output::write(None, format!("{}\n", resolved.manifest.digest).as_bytes())
}
