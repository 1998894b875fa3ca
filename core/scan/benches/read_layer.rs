//! Reads a generated layer once, for those who count what that takes: `cargo xtask instructions`.
//!
//! `read-layer make FOLDER MEBIBYTES` writes the layers, each of about that size when it is inflated, and what a manifest
//! says of it. `read-layer capture FILE` reads one as a scan does, `read-layer floor FILE` only hashes and inflates it.
//! `read-layer compare RUNS FILE...` shows the processor's time for both, in turn.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a program that prints what it measures, of layers that it makes itself"
)]

#[path = "layers/modules.rs"]
mod layers;

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::Path;

use regent_oci::Descriptor;
use regent_scan::{CapturedLayer, LayerSpec, Limits, capture_layer};

use self::layers::floor::{descriptor, floor};
use self::layers::generate::Layer;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["make", folder, mebibytes] => make(Path::new(folder), mebibytes.parse()?),
        ["capture", file] => {
            let (blob, descriptor) = read(file)?;
            black_box(capture(&blob, descriptor)?);
            Ok(())
        }
        ["floor", file] => {
            let (blob, descriptor) = read(file)?;
            black_box(floor(&blob, &descriptor)?);
            Ok(())
        }
        ["compare", runs, files @ ..] => files.iter().try_for_each(|file| compare(runs.parse()?, file)),
        _ => {
            Err("read-layer make FOLDER MEBIBYTES | capture FILE | floor FILE | compare RUNS FILE...".into())
        }
    }
}

fn make(folder: &Path, mebibytes: usize) -> Outcome<()> {
    fs::create_dir_all(folder)?;
    for layer in Layer::ALL {
        let (blob, path) = (layer.blob(mebibytes), folder.join(layer.name()));
        fs::write(path.with_extension("json"), serde_json::to_vec(&descriptor(&blob))?)?;
        fs::write(path, blob)?;
    }
    Ok(())
}

/// A blob and what is beside it. What is from elsewhere has nothing beside it.
fn read(file: &str) -> Outcome<(Vec<u8>, Descriptor)> {
    let blob = fs::read(file)?;
    let descriptor = match fs::read(Path::new(file).with_extension("json")) {
        Ok(json) => serde_json::from_slice(&json)?,
        Err(_) => descriptor(&blob),
    };
    Ok((blob, descriptor))
}

fn capture(blob: &[u8], descriptor: Descriptor) -> Outcome<CapturedLayer> {
    Ok(capture_layer(&LayerSpec::new(descriptor), blob, &Limits::default())?)
}

fn compare(runs: usize, file: &str) -> Outcome<()> {
    let (blob, descriptor) = read(file)?;
    let mut least = [f64::MAX; 2];
    let mut ratios = Vec::new();
    for _ in 0..runs {
        let begin = processor_seconds()?;
        black_box(floor(&blob, &descriptor)?);
        let middle = processor_seconds()?;
        black_box(capture(&blob, descriptor.clone())?);
        let seconds = [middle - begin, processor_seconds()? - middle];
        least = [least[0].min(seconds[0]), least[1].min(seconds[1])];
        ratios.push(seconds[1] / seconds[0]);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios.get(runs / 2).ok_or("no runs")?;
    let [floor, capture] = least;
    println!(
        "{file}: floor {floor:.4} s, capture {capture:.4} s, ratio {:.3}, median of ratios {median:.3}",
        capture / floor
    );
    Ok(())
}

/// What this thread has had of a processor.
fn processor_seconds() -> Outcome<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse::<f64>()? / 1e9)
}
