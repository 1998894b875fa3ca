//! `regent scan`.

use std::path::Path;
use std::sync::Arc;

use regent_oci::ImageRef;
use regent_report::{Compat, Digests, ImageFacts, ImageName, Options};
use regent_scan::Findings;
use serde_json::{Map, Value};

use super::image::{Source, parse};
use super::progress::Shown;
use super::{Compatibility, Failure, Format, ScanArgs, output, parts};
use crate::connection::Connection;
use crate::scanning::{self, ScanLimits, ScannedImage, Scanner};

/// An options file or a Dockerfile is not larger than this, in bytes.
const MAX_TEXT_BYTES: u64 = 4 << 20;

pub(super) async fn run(arguments: &ScanArgs) -> Result<(), Failure> {
    let options = options(arguments)?;
    let parts = parts::Parts::new(parts::settings()?, arguments.image.registry.plain_http)?;
    let (registry, image, name) = match parse(&arguments.image.image)? {
        Source::Registry(image) => {
            let connection = super::connection::connection(&arguments.image.registry, &parts.settings)?;
            let name = arguments.name.clone().unwrap_or_else(|| full_name(&connection, &image));
            let name = ImageName { given: Some(name), archive: String::new() };
            (parts.open_connection(&connection).await?, image, name)
        }
        Source::Local { connection, image, file_name } => {
            let name = ImageName { given: arguments.name.clone(), archive: file_name };
            (parts.open_connection(&connection).await?, image, name)
        }
    };
    let limits = ScanLimits { max_image_bytes: parts.settings.max_image_size_bytes, ..ScanLimits::default() };
    let platform = options.platform.as_ref().or(arguments.image.platform.as_ref());
    let scanner = Scanner::new(Scanner::DEFAULT_CAPTURES_BYTES).matching(options.compat);
    let scanned = scanner
        .scan(&registry, &image, platform, &limits, &Arc::new(options.interest()), &Shown::new())
        .await?;
    let text = match arguments.format {
        Format::Table => written(regent_report::table, &scanned, &name, &options),
        Format::Cyclonedx => written(regent_report::cyclonedx, &scanned, &name, &options),
        Format::Spdx => written(regent_report::spdx, &scanned, &name, &options),
        Format::ScanResult => {
            let response = scanning::report(&scanned, &name, &options)?;
            serde_json::to_string(&response)? + "\n"
        }
    };
    output::write(arguments.output.output.as_deref(), text.as_bytes())
}

/// Writes what was found in one of the forms that tell all of it.
fn written(
    write: fn(&ImageFacts, &ImageName, Option<&Digests>, &Findings, &Options) -> String,
    scanned: &ScannedImage,
    name: &ImageName,
    options: &Options,
) -> String {
    write(&scanned.facts, name, scanned.digests.as_ref(), &scanned.findings, options)
}

/// `host/repository:tag`, as people write it.
fn full_name(connection: &Connection, image: &ImageRef) -> String {
    let base = connection.base().unwrap_or_default();
    let host = base.split_once("://").map_or(base, |(_, rest)| rest).trim_end_matches('/');
    format!("{host}/{image}")
}

fn options(arguments: &ScanArgs) -> Result<Options, Failure> {
    let map = match &arguments.options {
        Some(file) => read_object(file)?,
        None => Map::new(),
    };
    let mut options = Options::parse(&map).map_err(|e| Failure::usage(format!("options: {e}")))?;
    options.compat = match arguments.compat {
        Compatibility::V9_8 => Compat::V9_8,
        Compatibility::V9_20 => Compat::V9_20,
    };
    if let Some(file) = &options.file {
        options.dockerfile = Some(read_text(Path::new(file))?);
    }
    Ok(options)
}

fn read_object(file: &Path) -> Result<Map<String, Value>, Failure> {
    let text = read_text(file)?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Failure::usage(format!("{}: the options are no JSON object", file.display()))),
        Err(e) => Err(Failure::usage(format!("{}: no JSON: {e}", file.display()))),
    }
}

fn read_text(file: &Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(file)
        .and_then(|f| f.take(MAX_TEXT_BYTES).read_to_string(&mut text))
        .map_err(|e| Failure::usage(format!("{} can't be read: {e}", file.display())))?;
    Ok(text)
}
