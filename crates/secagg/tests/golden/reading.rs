//! Reads the cases.

use std::collections::BTreeSet;

use chorus_secagg::{Generator, PublicKeys, Ring, RoundDigest, RoundKeys, Share};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/secagg");

/// A case, or a part of one.
pub struct Case(Value);

/// The cases of a file, which must be of exactly these kinds.
#[track_caller]
pub fn cases(file: &str, kinds: &[&str]) -> Vec<Case> {
    let path = format!("{FOLDER}/{file}.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let cases: Vec<Case> = cases.into_iter().map(Case).collect();
    let found: BTreeSet<&str> = cases.iter().map(Case::kind).collect();
    assert_eq!(found, kinds.iter().copied().collect(), "kinds in {path}");
    cases
}

impl Case {
    pub fn kind(&self) -> &str {
        self.0["kind"].as_str().unwrap()
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    #[track_caller]
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> T {
        let value = self.0.get(name);
        let value = value.unwrap_or_else(|| panic!("no `{name}` in {}", self.0));
        serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    #[track_caller]
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        hex::decode(self.get::<String>(name)).unwrap()
    }

    #[track_caller]
    pub fn key(&self, name: &str) -> [u8; 32] {
        self.bytes(name).try_into().unwrap()
    }

    /// Several values of 32 bytes.
    #[track_caller]
    pub fn list_of_keys(&self, name: &str) -> Vec<[u8; 32]> {
        let texts: Vec<String> = self.get(name);
        let keys = texts.iter().map(|text| hex::decode(text).unwrap());
        keys.map(|key| key.try_into().unwrap()).collect()
    }

    #[track_caller]
    pub fn parts(&self, name: &str) -> Vec<Case> {
        self.get::<Vec<Value>>(name).into_iter().map(Case).collect()
    }

    #[track_caller]
    pub fn part(&self, name: &str) -> Case {
        Case(self.get(name))
    }

    pub fn digest(&self) -> RoundDigest {
        RoundDigest(self.key("digest"))
    }

    pub fn ring(&self) -> Ring {
        self.get("ring")
    }

    pub fn generator(&self) -> Generator {
        self.get("generator")
    }

    /// The keys of a client whose secrets the case has.
    pub fn round_keys(&self) -> RoundKeys {
        let (cipher, mask) = (self.key("cipher_secret"), self.key("mask_secret"));
        round_keys(&cipher, &mask, self.generator())
    }

    /// What a client advertises.
    pub fn public_keys(&self) -> PublicKeys {
        PublicKeys {
            cipher: self.key("cipher"),
            mask: self.key("mask"),
            generator: self.generator(),
        }
    }

    pub fn shares(&self) -> Vec<Share> {
        let share = |case: Case| Share {
            x: case.get("x"),
            y: case.key("y"),
        };
        self.parts("shares").into_iter().map(share).collect()
    }
}

pub fn round_keys(cipher: &[u8; 32], mask: &[u8; 32], generator: Generator) -> RoundKeys {
    let mut saved = [generator.number(); 65];
    saved[..32].copy_from_slice(cipher);
    saved[32..64].copy_from_slice(mask);
    RoundKeys::from_bytes(&saved).unwrap_or_else(|error| panic!("{error}"))
}
