//! The files are what `scripts/vectors/generate` writes.

use std::path::Path;
use std::process::Command;

#[test]
fn the_files_are_as_generated() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/vectors/generate");
    let python = ["python3", "python"].into_iter().find(|python| {
        let version = Command::new(python)
            .args(["-c", "import sys; sys.exit(sys.version_info < (3, 9))"])
            .status();
        version.is_ok_and(|status| status.success())
    });
    let Some(python) = python else {
        eprintln!(
            "SKIPPED: there is no Python 3.9 or newer, so whether tests/vectors/secagg is what scripts/vectors/generate \
             writes was not checked; the cases themselves were"
        );
        return;
    };
    let checked = Command::new(python)
        .arg(script)
        .arg("--check")
        .output()
        .unwrap();
    let said =
        [checked.stdout, checked.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(checked.status.success(), "{}", said.concat());
}
