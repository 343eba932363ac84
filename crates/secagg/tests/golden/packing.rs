//! `packing.json`.

use chorus_secagg::{Aggregate, MalformedUpdate, MaskedUpdate, SpoiledSum};

use crate::reading::{Case, cases};

const KINDS: [&str; 5] = [
    "shape",
    "packed",
    "bad_length",
    "bad_spare_bits",
    "bad_check_values",
];

#[test]
fn packing() {
    for case in cases("packing", &KINDS) {
        match case.kind() {
            "shape" => {
                assert_eq!(
                    case.ring().check_values(),
                    case.get::<usize>("check_values")
                );
                for upload in case.parts("uploads") {
                    let (length, bytes): (usize, usize) =
                        (upload.get("length"), upload.get("bytes"));
                    assert_eq!(case.ring().upload_bytes(length), bytes);
                }
            }
            "packed" => packed(&case),
            "bad_check_values" => {
                let update = read(&case, case.get("length")).unwrap();
                let mut sum = Aggregate::new(case.ring(), case.get("length"));
                sum.add(update).unwrap();
                assert_eq!(sum.finish(), Err(SpoiledSum));
            }
            "bad_spare_bits" => {
                let refused = read(&case, case.get("length")).err();
                assert_eq!(refused, Some(MalformedUpdate::SpareBits));
                let sum =
                    Aggregate::from_bytes(&case.bytes("bytes"), case.ring(), case.get("length"));
                assert_eq!(sum.err(), Some(MalformedUpdate::SpareBits));
            }
            _ => {
                let length = case.get("length");
                let (expected, found) =
                    (case.ring().upload_bytes(length), case.bytes("bytes").len());
                let refused = Some(MalformedUpdate::Length { expected, found });
                assert_eq!(read(&case, length).err(), refused);
            }
        }
    }
}

fn read(case: &Case, length: usize) -> Result<MaskedUpdate, MalformedUpdate> {
    MaskedUpdate::from_bytes(case.bytes("bytes"), case.ring(), length)
}

/// With check values of zero, a packed vector is a sum already.
fn packed(case: &Case) {
    let values: Vec<u32> = case.get("values");
    let bytes = case.bytes("bytes");
    let mut sum = Aggregate::new(case.ring(), values.len());
    sum.add(read(case, values.len()).unwrap()).unwrap();
    assert_eq!(sum.to_bytes(), bytes);
    let restored = Aggregate::from_bytes(&bytes, case.ring(), values.len()).unwrap();
    assert_eq!(restored, sum);
    assert_eq!(sum.finish().unwrap(), values);
}
