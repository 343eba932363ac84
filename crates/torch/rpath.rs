//! For build scripts of packages whose programs load libtorch: writes the folder it lies in into every program.
//!
//! Cargo does not hand link arguments from a library to the programs that use it, so each such package has a
//! build.rs that includes this file.

use std::{env, fs, path::PathBuf};

/// LIBTORCH of this build, with every link resolved; none when it is not there.
pub fn libtorch() -> Option<PathBuf> {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let libtorch = PathBuf::from(env::var_os("LIBTORCH")?);
    println!(
        "cargo:rerun-if-changed={}",
        libtorch.join("build-version").display()
    );
    fs::canonicalize(libtorch).ok()
}

/// Makes the programs of this package (tests, examples and binaries) find libtorch where the build found it.
pub fn link() {
    if let Some(libtorch) = libtorch() {
        println!(
            "cargo:rustc-link-arg=-Wl,-rpath,{}",
            libtorch.join("lib").display()
        );
    }
}
