//! The header that C programs include is the one that the sources say.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

use std::fs;
use std::path::Path;

/// `CHORUS_BLESS=1 cargo test -p chorus-ffi --test header` writes it.
#[test]
fn the_header_is_current() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(place.join("cbindgen.toml")).unwrap();
    let builder = cbindgen::Builder::new()
        .with_config(config)
        .with_src(place.join("src/lib.rs"));
    let mut bytes = Vec::new();
    builder.generate().unwrap().write(&mut bytes);
    let made = String::from_utf8(bytes).unwrap();
    assert!(
        made.contains("chorus_open(") && made.contains("#define CHORUS_OK 0"),
        "{made}"
    );
    assert!(
        !made.contains("Handle"),
        "nothing of the inside is in it: {made}"
    );

    let header = place.join("include/chorus.h");
    if std::env::var_os("CHORUS_BLESS").is_some() {
        fs::write(&header, &made).unwrap();
    }
    let kept = fs::read_to_string(&header).unwrap_or_default();
    assert!(
        kept == made,
        "include/chorus.h is not what the sources say: run with CHORUS_BLESS=1, and look at what changed"
    );
}
