//! The protocol files, the code generated from them, and what a client is able to say.
//!
//! `CHORUS_BLESS=1 cargo test -p chorus-tests --test proto` writes the generated code anew. Nobody needs `protoc`:
//! `protox` compiles the files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeSet, fs, path::Path, path::PathBuf};

use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

const FILES: [&str; 3] = [
    "chorus/v1/enrolment.proto",
    "chorus/v1/training.proto",
    "chorus/v1/witness.proto",
];
const GENERATED: &str = "chorus.v1.rs";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn descriptors() -> FileDescriptorSet {
    protox::compile(FILES, [root().join("proto")]).expect("the files in proto/ compile")
}

fn generate(directory: &Path) -> String {
    tonic_prost_build::configure()
        .out_dir(directory)
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors())
        .expect("code can be generated");
    let code = fs::read_to_string(directory.join(GENERATED)).expect("one file for the package");
    assert_eq!(
        fs::read_dir(directory).expect("readable").count(),
        1,
        "one package, one file"
    );
    code
}

#[test]
fn generated_code_is_current() {
    let checked_in = root().join("crates/wire/src/generated").join(GENERATED);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let code = generate(directory.path());
    if std::env::var_os("CHORUS_BLESS").is_some() {
        fs::write(&checked_in, &code).expect("writable");
    }
    let found = fs::read_to_string(&checked_in).unwrap_or_default();
    assert!(
        found == code,
        "crates/wire/src/generated/{GENERATED} is not what proto/ says: \
         run `CHORUS_BLESS=1 cargo test -p chorus-tests --test proto`"
    );
}

/// Every field that a client may send in the Training service: its full name, its type, and why it is harmless.
/// A field that is not here must not reach `proto/`: whoever adds one argues for it in this list.
const ALLOWED: &[(&str, &str, &str)] = &[
    (
        "CheckInRequest.protocol_version",
        "uint32",
        "a constant of the build",
    ),
    (
        "CheckInRequest.task",
        "string",
        "the coordinator's own name for the task, checked against 64 legal characters",
    ),
    (
        "FetchLogRequest.protocol_version",
        "uint32",
        "a constant of the build",
    ),
    ("FetchLogRequest.from", "uint64", "length of a public log"),
    (
        "FetchModelRequest.protocol_version",
        "uint32",
        "a constant of the build",
    ),
    (
        "FetchModelRequest.digest",
        "bytes",
        "digest of a published file, 32 bytes",
    ),
    (
        "FetchModelRequest.offset",
        "uint64",
        "bytes of a published file",
    ),
    (
        "AdvertiseKeysRequest.protocol_version",
        "uint32",
        "a constant of the build",
    ),
    (
        "AdvertiseKeysRequest.round",
        "uint64",
        "the coordinator's own number",
    ),
    (
        "AdvertiseKeysRequest.cipher_key",
        "bytes",
        "a fresh random public key, 32 bytes",
    ),
    (
        "AdvertiseKeysRequest.mask_key",
        "bytes",
        "a fresh random public key, 32 bytes",
    ),
    (
        "AdvertiseKeysRequest.signature",
        "bytes",
        "over public values, 64 bytes",
    ),
    (
        "AdvertiseKeysRequest.generator",
        "enum Generator",
        "whether the processor has AES instructions",
    ),
    (
        "ShareKeysRequest.protocol_version",
        "uint32",
        "a constant of the build",
    ),
    (
        "ShareKeysRequest.round",
        "uint64",
        "the coordinator's own number",
    ),
    (
        "ShareKeysRequest.sealed",
        "repeated AddressedShares",
        "ciphertexts for neighbours",
    ),
    (
        "AddressedShares.peer",
        "uint32",
        "a number that the coordinator gave",
    ),
    (
        "AddressedShares.sealed",
        "bytes",
        "ciphertext of two random shares, 80 bytes",
    ),
    (
        "ConfirmSharesRequest.protocol_version",
        "uint32",
        "a constant of the build",
    ),
    (
        "ConfirmSharesRequest.round",
        "uint64",
        "the coordinator's own number",
    ),
    (
        "ConfirmSharesRequest.unopenable",
        "repeated uint32",
        "numbers of neighbours that the coordinator gave, at most 254",
    ),
    ("UploadChunk.start", "UploadStart", "lengths and a digest"),
    (
        "UploadChunk.data",
        "bytes",
        "the masked update: the only type that converts to it is MaskedUpdate",
    ),
    (
        "UploadStart.protocol_version",
        "uint32",
        "a constant of the build",
    ),
    (
        "UploadStart.round",
        "uint64",
        "the coordinator's own number",
    ),
    (
        "UploadStart.total_bytes",
        "uint64",
        "must equal the length that the plan gives",
    ),
    (
        "UploadStart.sha256",
        "bytes",
        "digest of uniformly random bytes, 32 bytes",
    ),
    (
        "UploadStart.offset",
        "uint64",
        "bytes that the coordinator holds",
    ),
    (
        "UploadStatusRequest.protocol_version",
        "uint32",
        "a constant of the build",
    ),
    (
        "UploadStatusRequest.round",
        "uint64",
        "the coordinator's own number",
    ),
    (
        "UploadStart.signature",
        "bytes",
        "over the coordinator's own list of clients, 64 bytes",
    ),
    (
        "EndorseRequest.protocol_version",
        "uint32",
        "a constant of the build",
    ),
    (
        "EndorseRequest.round",
        "uint64",
        "the coordinator's own number",
    ),
    (
        "EndorseRequest.signature",
        "bytes",
        "over what the coordinator told everyone, 64 bytes",
    ),
    (
        "UnmaskRequest.protocol_version",
        "uint32",
        "a constant of the build",
    ),
    (
        "UnmaskRequest.round",
        "uint64",
        "the coordinator's own number",
    ),
    (
        "UnmaskRequest.revealed",
        "repeated RevealedShare",
        "random shares of other clients' round secrets",
    ),
    (
        "RevealedShare.owner",
        "uint32",
        "a number that the coordinator gave",
    ),
    ("RevealedShare.kind", "enum Secret", "one of three"),
    ("RevealedShare.share", "bytes", "a random share, 32 bytes"),
    (
        "AwaitRequest.protocol_version",
        "uint32",
        "a constant of the build",
    ),
    (
        "AwaitRequest.round",
        "uint64",
        "the coordinator's own number",
    ),
    ("AwaitRequest.awaited", "enum Awaited", "one of five phases"),
];

/// Full names of messages without the package.
fn local(name: &str) -> &str {
    name.trim_start_matches('.')
        .trim_start_matches("chorus.v1.")
}

fn type_of(field: &FieldDescriptorProto) -> String {
    let repeated = if field.label() == Label::Repeated {
        "repeated "
    } else {
        ""
    };
    let name = match field.r#type() {
        Type::Message => local(field.type_name()).to_owned(),
        Type::Enum => format!("enum {}", local(field.type_name())),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    format!("{repeated}{name}")
}

fn message<'a>(files: &'a [FileDescriptorProto], name: &str) -> &'a DescriptorProto {
    files
        .iter()
        .flat_map(|file| &file.message_type)
        .find(|message| message.name() == local(name))
        .unwrap_or_else(|| panic!("`{name}` is no top-level message of chorus.v1: nested ones and imports are not used"))
}

/// Every field that a request of `service` can carry, as (full name, type).
fn reachable(files: &[FileDescriptorProto], service: &str) -> BTreeSet<(String, String)> {
    let service = files
        .iter()
        .flat_map(|file| &file.service)
        .find(|found| found.name() == service)
        .expect("the service exists");
    let mut waiting: Vec<String> = service
        .method
        .iter()
        .map(|method| method.input_type().to_owned())
        .collect();
    let mut seen = BTreeSet::new();
    let mut fields = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let message = message(files, &name);
        assert!(
            message.nested_type.is_empty(),
            "`{name}` has a nested message or a map: neither is used"
        );
        assert!(
            message.extension_range.is_empty(),
            "`{name}` has extensions: they are not used"
        );
        for field in &message.field {
            fields.insert((
                format!("{}.{}", message.name(), field.name()),
                type_of(field),
            ));
            if field.r#type() == Type::Message {
                waiting.push(field.type_name().to_owned());
            }
        }
    }
    fields
}

/// The fields that are not on the list, or are there with another type.
fn forbidden(fields: &BTreeSet<(String, String)>) -> Vec<String> {
    fields
        .iter()
        .filter(|(name, kind)| {
            !ALLOWED
                .iter()
                .any(|(allowed, of, _)| allowed == name && of == kind)
        })
        .map(|(name, kind)| format!("{name}: {kind}"))
        .collect()
}

#[test]
fn no_request_can_carry_an_event_an_item_or_a_user_vector() {
    let files = descriptors().file;
    let fields = reachable(&files, "Training");
    let found = forbidden(&fields);
    assert!(
        found.is_empty(),
        "a client could send what is not on the list: {found:#?}"
    );
    for (name, kind, _) in ALLOWED {
        assert!(
            fields.contains(&((*name).to_owned(), (*kind).to_owned())),
            "`{name}` is on the list but not in proto/: take it off"
        );
    }
}

#[test]
fn the_list_has_no_numbers_that_could_be_a_vector() {
    for (name, kind, reason) in ALLOWED {
        assert!(
            !kind.contains("float") && !kind.contains("double"),
            "{name}"
        );
        assert!(!reason.is_empty(), "{name} needs a reason");
        let bare_numbers = [
            "repeated uint",
            "repeated int",
            "repeated sint",
            "repeated fixed",
            "repeated sfixed",
        ];
        assert!(
            *name == "ConfirmSharesRequest.unopenable"
                || !bare_numbers.iter().any(|bare| kind.starts_with(bare)),
            "{name}: a list of numbers"
        );
    }
}

/// The control: the walk must catch what it is there to catch, at the top and in a nested message.
#[test]
fn a_list_of_items_is_caught() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let text = fs::read_to_string(root().join("proto").join(FILES[1])).expect("readable");
    for (place, line, caught) in [
        (
            "message CheckInRequest {",
            "repeated uint32 item_ids = 90;",
            "CheckInRequest.item_ids: repeated uint32",
        ),
        (
            "message RevealedShare {",
            "repeated float vector = 91;",
            "RevealedShare.vector: repeated float",
        ),
        (
            "message UploadStart {",
            "bytes note = 92;",
            "UploadStart.note: bytes",
        ),
        (
            "message AwaitRequest {",
            "double rating = 93;",
            "AwaitRequest.rating: double",
        ),
    ] {
        assert!(text.contains(place));
        let path = directory.path().join("made_up.proto");
        fs::write(&path, text.replace(place, &format!("{place}\n{line}"))).expect("writable");
        let files = protox::compile(["made_up.proto"], [directory.path()])
            .expect("compiles")
            .file;
        assert_eq!(forbidden(&reachable(&files, "Training")), [caught]);
    }
    let changed = text.replace("uint64 from = 2;", "repeated uint64 from = 2;");
    fs::write(directory.path().join("made_up.proto"), changed).expect("writable");
    let files = protox::compile(["made_up.proto"], [directory.path()])
        .expect("compiles")
        .file;
    assert_eq!(
        forbidden(&reachable(&files, "Training")),
        ["FetchLogRequest.from: repeated uint64"]
    );
}

#[test]
fn every_request_says_its_version_first() {
    let files = descriptors().file;
    for service in files.iter().flat_map(|file| &file.service) {
        for method in &service.method {
            let mut input = message(&files, method.input_type());
            if input.name() == "UploadChunk" {
                input = message(&files, "UploadStart");
            }
            let first = input.field.first().expect("a request has fields");
            assert_eq!(
                (first.name(), first.number()),
                ("protocol_version", 1),
                "{}",
                input.name()
            );
        }
    }
}

#[test]
fn every_enum_begins_with_unspecified() {
    for kind in descriptors().file.iter().flat_map(|file| &file.enum_type) {
        let zero = kind.value.first().expect("a value");
        assert!(
            zero.name().ends_with("_UNSPECIFIED") && zero.number() == 0,
            "{}",
            kind.name()
        );
    }
}
