//! Layers to be read, and the floor of reading them: for the benches and for the program whose instructions are counted.

pub(crate) mod floor;
pub(crate) mod generate;

mod content;
mod programs;
mod tar;
mod zip;
