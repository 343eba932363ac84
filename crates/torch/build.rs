//! Tells the linker where libtorch lies, and refuses any other version than the one the bindings were made for.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "how a build script speaks to Cargo"
)]

use std::{fs, process::ExitCode};

mod rpath;

const VERSION: &str = "2.13.0";

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=rpath.rs");
    let version =
        rpath::libtorch().and_then(|folder| fs::read_to_string(folder.join("build-version")).ok());
    match version.as_deref().map(str::trim) {
        Some(found) if found.strip_suffix("+cpu").unwrap_or(found) == VERSION => {
            rpath::link();
            ExitCode::SUCCESS
        }
        found => {
            let found = found.map_or("not found".to_owned(), |found| format!("version {found}"));
            eprintln!(
                "libtorch is {found}, and this build needs {VERSION} for the CPU: run scripts/setup, then build again"
            );
            ExitCode::FAILURE
        }
    }
}
