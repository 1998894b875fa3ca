//! `regent inspect`.

use serde_json::json;

use super::{Failure, ImageArgs, OutputArgs, output, parts};
use crate::api::wire;

pub(super) async fn run(arguments: &ImageArgs, output: &OutputArgs) -> Result<(), Failure> {
    let parts = parts::Parts::new(parts::settings()?, arguments.registry.plain_http)?;
    let (registry, image) = parts.open_image(arguments).await?;
    let resolved = registry.resolve(&image, arguments.platform.as_ref()).await?;
    let metadata = json!(wire::ImageMetadata::of(&resolved));
    let mut text = serde_json::to_string_pretty(&metadata)?;
    text.push('\n');
    output::write(output.output.as_deref(), text.as_bytes())
}
