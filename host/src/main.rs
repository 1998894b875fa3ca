//! The `regent` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    regent_host::cli::main()
}
