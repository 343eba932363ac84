//! The C compiler of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What C programs link: it stands beside the test.
fn libraries() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().to_owned()
}

/// Builds a C program with every warning an error. Nothing where there is no C compiler.
pub fn build(source: &Path, program: &Path) -> Option<()> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR"));
    let libraries = libraries();
    let mut compiler = Command::new("cc");
    compiler
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pedantic",
            "-g",
            "-pthread",
        ])
        .arg("-I")
        .arg(place.join("include"))
        .arg(source)
        .arg("-o")
        .arg(program)
        .arg("-L")
        .arg(&libraries)
        .arg("-lchorus_ffi")
        .arg(format!("-Wl,-rpath,{}", libraries.display()));
    let Ok(output) = compiler.output() else {
        eprintln!("skipped: there is no C compiler `cc` here");
        return None;
    };
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {words}", source.display());
    Some(())
}
