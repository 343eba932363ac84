//! libFuzzer over the target that CHORUS_FUZZ_TARGET names. Its seeds are written to CHORUS_FUZZ_SEEDS first.
#![no_main]

use std::{env, fs, path::PathBuf, sync::OnceLock};

use chorus_tests::targets::{Target, named};
use libfuzzer_sys::fuzz_target;

fn target() -> &'static Target {
    static TARGET: OnceLock<&Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = env::var("CHORUS_FUZZ_TARGET").expect("CHORUS_FUZZ_TARGET names the target");
        named(&name).expect("CHORUS_FUZZ_TARGET names one of the targets")
    })
}

fn write_seeds() {
    if let Some(folder) = env::var_os("CHORUS_FUZZ_SEEDS").map(PathBuf::from) {
        fs::create_dir_all(&folder).expect("a folder for seeds");
        for (number, seed) in (target().seeds)().into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed).expect("a seed is written");
        }
    }
}

fuzz_target!(init: write_seeds(), |bytes: &[u8]| {
    (target().run)(bytes);
});
