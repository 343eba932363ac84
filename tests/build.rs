//! Makes test programs find libtorch where the build found it, and tells them which system they are built for.
#![allow(clippy::print_stdout, reason = "how a build script speaks to Cargo")]

#[path = "../crates/torch/rpath.rs"]
mod rpath;

fn main() {
    println!("cargo:rerun-if-changed=../crates/torch/rpath.rs");
    rpath::link();
    println!(
        "cargo:rustc-env=CHORUS_TARGET={}",
        std::env::var("TARGET").unwrap_or_default()
    );
}
