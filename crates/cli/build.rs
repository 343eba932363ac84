//! Makes `chorus` find libtorch where the build found it.
#![allow(clippy::print_stdout, reason = "how a build script speaks to Cargo")]

#[path = "../torch/rpath.rs"]
mod rpath;

fn main() {
    println!("cargo:rerun-if-changed=../torch/rpath.rs");
    if std::env::var_os("CARGO_FEATURE_TORCH").is_some() {
        rpath::link();
    }
}
