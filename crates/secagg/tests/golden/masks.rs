//! `masks.json`.

use chorus_secagg::{
    Aggregate, Dropped, Kernel, Lane, MaskKey, PublicKeys, Sign, expand, mask_with, recover_pairs,
};

use crate::reading::{Case, cases};

#[test]
fn masks() {
    for case in cases("masks", &["range", "own", "pair", "recovered"]) {
        for kernel in Kernel::available() {
            match case.kind() {
                "range" if case.get::<u32>("lane_bits") == 16 => range::<u16>(&case, kernel),
                "range" => range::<u32>(&case, kernel),
                "own" => own(&case, kernel),
                "pair" => pair(&case, kernel),
                _ => recovered(&case, kernel),
            }
        }
    }
}

fn own_key(case: &Case, digest: &Case) -> MaskKey {
    let seed = case.key("self_seed");
    MaskKey::own(&seed, &digest.digest(), case.get("index"), case.generator())
}

fn range<L>(case: &Case, kernel: Kernel)
where
    L: Lane + Default + PartialEq + core::fmt::Debug + serde::de::DeserializeOwned,
{
    for (name, sign) in [("added", Sign::Add), ("subtracted", Sign::Subtract)] {
        let expected: Vec<L> = case.get(name);
        let mut lanes = vec![L::default(); expected.len()];
        let masks = [(own_key(case, case), sign)];
        expand(kernel, &masks, case.get("first_unit"), &mut lanes);
        assert_eq!(lanes, expected, "{name} {kernel:?}");
    }
}

fn own(case: &Case, kernel: Kernel) {
    let (values, own) = (case.get("values"), own_key(case, case));
    let upload = mask_with(kernel, values, case.ring(), &own, []);
    assert_eq!(upload.bytes(), case.bytes("upload"), "{kernel:?}");
}

fn pair(case: &Case, kernel: Kernel) {
    let clients = case.parts("clients");
    let digest = case.digest();
    let expected: Vec<u32> = case.get("sum");
    let mut sum = Aggregate::new(case.ring(), expected.len());
    for (client, other) in clients.iter().zip(clients.iter().rev()) {
        let (index, peer) = (client.get("index"), other.get("index"));
        let theirs = other.round_keys().public();
        let shared = MaskKey::pair(&client.round_keys(), &theirs, &digest, index, peer).unwrap();
        let own = own_key(client, case);
        let pairs = [(shared, Sign::of(index, peer))];
        let upload = mask_with(kernel, client.get("values"), case.ring(), &own, pairs);
        assert_eq!(upload.bytes(), client.bytes("upload"), "{kernel:?}");
        sum.add(upload).unwrap();
        sum.remove(&[(own, Sign::Add)]);
    }
    assert_eq!(sum.finish().unwrap(), expected);
}

fn recovered(case: &Case, kernel: Kernel) {
    let lost = case.parts("lost");
    let kept: Vec<(u32, [u8; 32], PublicKeys)> = lost
        .iter()
        .map(|one| {
            let public = one.part("public").public_keys();
            (one.get("index"), one.key("mask_secret"), public)
        })
        .collect();
    // All at once, and one by one: the two are computed differently.
    for size in [kept.len(), 1] {
        let mut found = Vec::new();
        for part in kept.chunks(size) {
            let dropped: Vec<Dropped<'_>> = part
                .iter()
                .map(|(index, mask_secret, public)| Dropped {
                    index: *index,
                    mask_secret,
                    public,
                })
                .collect();
            let theirs = case.part("public").public_keys();
            found.extend(
                recover_pairs(case.get("index"), &theirs, &dropped, &case.digest()).unwrap(),
            );
        }
        assert_eq!(found.len(), lost.len());
        for ((key, sign), one) in found.into_iter().zip(&lost) {
            let expected = if one.get::<i32>("sign") == 1 {
                Sign::Add
            } else {
                Sign::Subtract
            };
            assert_eq!(sign, expected);
            let mut lanes = [0_u32; 4];
            expand(kernel, &[(key, Sign::Add)], 0, &mut lanes);
            assert_eq!(
                lanes.to_vec(),
                one.get::<Vec<u32>>("first_lanes"),
                "{}",
                case.get::<String>("where")
            );
        }
    }
}
