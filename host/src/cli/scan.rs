//! `regent scan`.

use std::path::Path;
use std::sync::Arc;

use regent_oci::ImageRef;
use regent_report::{Compat, ImageName, Options};
use serde_json::{Map, Value};

use super::image::{Source, parse};
use super::progress::Shown;
use super::{Compatibility, Failure, Format, ScanArgs, output, parts};
use crate::connection::Connection;
use crate::scanning::{self, DiskCaptures, ScanLimits, Scanner};

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
    let scanner = Scanner::new(Scanner::DEFAULT_CAPTURES_BYTES)
        .matching(options.compat)
        .reading_parts(parts.settings.lazy_layers);
    let scanner = match &parts.cache {
        Some(cache) => scanner.sharing(Arc::new(DiskCaptures::new(cache.clone()))),
        None => scanner,
    };
    let scanned = scanner
        .scan(&registry, &image, platform, &limits, &Arc::new(options.interest()), &Shown::new())
        .await?;
    if let Some(cache) = &parts.cache {
        cache.settle().await;
    }
    let target = arguments.output.output.as_deref();
    let (facts, findings, digests) = (&scanned.facts, &scanned.findings, scanned.digests.as_ref());
    // The table has them itself.
    if arguments.format != Format::Table {
        regent_report::warnings(findings).for_each(|warning| output::say(format_args!("warning: {warning}")));
    }
    match arguments.format {
        Format::Table => {
            let text = regent_report::table(facts, &name, digests, findings, &options);
            output::write(target, text.as_bytes())
        }
        Format::Cyclonedx => output::write_with(target, |out| {
            regent_report::cyclonedx(facts, &name, digests, findings, &options, out)
        }),
        Format::Spdx => output::write_with(target, |out| {
            regent_report::spdx(facts, &name, digests, findings, &options, out)
        }),
        Format::ScanResult => {
            let response = scanning::report(&scanned, &name, &options)?;
            output::write(target, (serde_json::to_string(&response)? + "\n").as_bytes())
        }
    }
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
