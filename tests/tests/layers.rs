//! The arrows of the drawing in crates/README.md, and what each crate must never reach.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Which crates of this workspace each crate may depend on. Downward only, none sideways.
const ARROWS: [(&str, &[&str]); 14] = [
    ("chorus-model", &[]),
    ("chorus-privacy", &[]),
    ("chorus-secagg", &[]),
    (
        "chorus-protocol",
        &["chorus-model", "chorus-privacy", "chorus-secagg"],
    ),
    (
        "chorus-wire",
        &[
            "chorus-protocol",
            "chorus-model",
            "chorus-privacy",
            "chorus-secagg",
        ],
    ),
    ("chorus-torch", &["chorus-model"]),
    ("chorus-data", &["chorus-model"]),
    (
        "chorus-authority",
        &[
            "chorus-wire",
            "chorus-protocol",
            "chorus-privacy",
            "chorus-secagg",
        ],
    ),
    ("chorus-witness", &["chorus-wire", "chorus-protocol"]),
    (
        "chorus-client",
        &[
            "chorus-wire",
            "chorus-protocol",
            "chorus-model",
            "chorus-privacy",
            "chorus-secagg",
        ],
    ),
    (
        "chorus-centre",
        &[
            "chorus-client",
            "chorus-wire",
            "chorus-protocol",
            "chorus-model",
        ],
    ),
    (
        "chorus-coordinator",
        &[
            "chorus-wire",
            "chorus-protocol",
            "chorus-model",
            "chorus-privacy",
            "chorus-secagg",
        ],
    ),
    (
        "chorus-simulator",
        &[
            "chorus-data",
            "chorus-protocol",
            "chorus-model",
            "chorus-privacy",
            "chorus-secagg",
        ],
    ),
    ("chorus-mpi", &["chorus-simulator"]),
];

/// The surfaces, which may depend on any crate but each other.
const SURFACES: [&str; 4] = ["chorus-cli", "chorus-ffi", "chorus-python", "chorus-tests"];

const LIBTORCH: [&str; 2] = ["tch", "torch-sys"];
const NETWORK: [&str; 7] = [
    "tokio",
    "tonic",
    "hyper",
    "mio",
    "socket2",
    "rustls",
    "tokio-rustls",
];

/// What a crate must not reach, not even through other crates.
const NEVER: [(&str, &[&[&str]]); 15] = [
    ("chorus-model", &[&LIBTORCH, &NETWORK, &["rusqlite"]]),
    ("chorus-privacy", &[&LIBTORCH, &NETWORK, &["rusqlite"]]),
    ("chorus-secagg", &[&LIBTORCH, &NETWORK, &["rusqlite"]]),
    ("chorus-protocol", &[&LIBTORCH, &NETWORK, &["rusqlite"]]),
    ("chorus-wire", &[&LIBTORCH]),
    ("chorus-torch", &[&NETWORK]),
    ("chorus-data", &[&LIBTORCH, &NETWORK]),
    ("chorus-authority", &[&LIBTORCH]),
    ("chorus-witness", &[&LIBTORCH]),
    ("chorus-client", &[&LIBTORCH]),
    ("chorus-centre", &[&LIBTORCH]),
    ("chorus-coordinator", &[&LIBTORCH]),
    ("chorus-simulator", &[&LIBTORCH, &NETWORK]),
    ("chorus-mpi", &[&LIBTORCH, &NETWORK]),
    (
        "chorus-python",
        &[&LIBTORCH, &NETWORK, &["rusqlite", "clap"]],
    ),
];

/// Machines without MPI build everything but the crate that names it.
const MPI: [&str; 2] = ["mpi", "mpi-sys"];

/// Global randomness: the caller hands a generator to whoever needs one.
const GLOBAL_RANDOMNESS: [&str; 2] = ["getrandom", "rand"];

/// Who depends on whom, by name, in ordinary builds (tests may depend on anything).
#[derive(Clone, Default)]
struct Graph {
    members: BTreeSet<String>,
    arrows: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn of(members: &[&str], arrows: &[(&str, &str)]) -> Self {
        let mut graph = Graph {
            members: members.iter().map(|name| (*name).to_owned()).collect(),
            ..Graph::default()
        };
        for (from, to) in arrows {
            graph.add(from, to);
        }
        graph
    }

    fn add(&mut self, from: &str, to: &str) {
        self.arrows
            .entry(from.to_owned())
            .or_default()
            .insert(to.to_owned());
    }

    fn direct(&self, from: &str) -> impl Iterator<Item = &str> {
        self.arrows
            .get(from)
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// The shortest way from a crate to another, both included.
    fn way(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut ways = vec![vec![from.to_owned()]];
        let mut seen = BTreeSet::from([from.to_owned()]);
        while !ways.is_empty() {
            let mut longer = Vec::new();
            for way in ways {
                for next in way.last().into_iter().flat_map(|last| self.direct(last)) {
                    let mut way = way.clone();
                    way.push(next.to_owned());
                    if next == to {
                        return Some(way);
                    }
                    if seen.insert(next.to_owned()) {
                        longer.push(way);
                    }
                }
            }
            ways = longer;
        }
        None
    }
}

/// Every arrow that the drawing does not have, as sentences.
fn faults(graph: &Graph) -> Vec<String> {
    let mut faults = Vec::new();
    for member in &graph.members {
        let allowed = ARROWS
            .iter()
            .find(|(name, _)| name == member)
            .map(|(_, allowed)| *allowed);
        let surface = SURFACES.contains(&member.as_str());
        if allowed.is_none() && !surface {
            faults.push(format!("{member} is not in the drawing"));
        }
        for to in graph.direct(member) {
            let inside = graph.members.contains(to);
            let drawn = match allowed {
                Some(allowed) => allowed.contains(&to),
                None => !SURFACES.contains(&to),
            };
            if inside && !drawn {
                faults.push(format!("{member} -> {to} is not an arrow of the drawing"));
            }
            if to == "anyhow" && !surface {
                faults.push(format!("{member} is a library and names anyhow"));
            }
            if member == "chorus-protocol" && GLOBAL_RANDOMNESS.contains(&to) {
                faults.push(format!(
                    "{member} names {to}: its randomness comes from the caller"
                ));
            }
        }
    }
    for (member, lists) in NEVER {
        for never in lists.iter().copied().flatten() {
            if let Some(way) = graph.way(member, never) {
                faults.push(format!("{member} reaches {never}: {}", way.join(" -> ")));
            }
        }
    }
    for (from, tos) in &graph.arrows {
        for to in LIBTORCH.iter().filter(|name| tos.contains(**name)) {
            if !matches!(
                (from.as_str(), *to),
                ("chorus-torch", "tch") | ("tch", "torch-sys")
            ) {
                faults.push(format!(
                    "{from} -> {to}: libtorch is reached through chorus-torch alone"
                ));
            }
        }
        for to in MPI.iter().filter(|name| tos.contains(**name)) {
            if !matches!(
                (from.as_str(), *to),
                ("chorus-mpi", "mpi") | ("mpi", "mpi-sys")
            ) {
                faults.push(format!(
                    "{from} -> {to}: MPI is reached through chorus-mpi alone"
                ));
            }
        }
    }
    faults
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

/// The graph as Cargo resolves it for this system, and what members name even where a feature leaves it out.
fn workspace() -> Graph {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            env!("CHORUS_TARGET"),
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");

    let mut graph = Graph::default();
    let names: BTreeMap<&str, &str> = list(&metadata, "packages")
        .map(|package| (text(package, "id"), text(package, "name")))
        .collect();
    for id in list(&metadata, "workspace_members") {
        graph
            .members
            .insert(names[id.as_str().expect("an id is a string")].to_owned());
    }
    for node in list(&metadata["resolve"], "nodes") {
        for to in list(node, "deps") {
            if list(to, "dep_kinds").any(|kind| kind["kind"].is_null()) {
                graph.add(names[text(node, "id")], names[text(to, "pkg")]);
            }
        }
    }
    for package in list(&metadata, "packages") {
        let name = text(package, "name");
        if graph.members.contains(name) {
            for to in list(package, "dependencies").filter(|to| to["kind"].is_null()) {
                graph.add(name, text(to, "name"));
            }
        }
    }
    graph
}

#[test]
fn the_workspace_is_the_drawing() {
    let graph = workspace();
    assert!(
        graph.members.len() > ARROWS.len(),
        "every crate of the drawing is there: {:?}",
        graph.members
    );
    assert!(
        graph.way("chorus-torch", "torch-sys").is_some(),
        "the check sees what crates depend on"
    );
    let faults = faults(&graph);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_bad_arrow_is_found() {
    let members: Vec<&str> = ARROWS
        .iter()
        .map(|(name, _)| *name)
        .chain(SURFACES)
        .collect();
    assert_eq!(
        faults(&Graph::of(
            &members,
            &[("chorus-torch", "tch"), ("tch", "torch-sys")]
        )),
        Vec::<String>::new()
    );

    let bad: [(&[(&str, &str)], &str); 12] = [
        (
            &[("chorus-privacy", "chorus-model")],
            "chorus-privacy -> chorus-model is not an arrow of the drawing",
        ),
        (
            &[("chorus-model", "chorus-protocol")],
            "chorus-model -> chorus-protocol is not an arrow of the drawing",
        ),
        (
            &[("chorus-client", "chorus-coordinator")],
            "chorus-client -> chorus-coordinator is not an arrow of the drawing",
        ),
        (
            &[("chorus-authority", "chorus-model")],
            "chorus-authority -> chorus-model is not an arrow of the drawing",
        ),
        (
            &[("chorus-simulator", "chorus-wire")],
            "chorus-simulator -> chorus-wire is not an arrow of the drawing",
        ),
        (
            &[("chorus-cli", "chorus-tests")],
            "chorus-cli -> chorus-tests is not an arrow of the drawing",
        ),
        (
            &[
                ("chorus-secagg", "left"),
                ("left", "right"),
                ("right", "tokio"),
            ],
            "chorus-secagg reaches tokio: chorus-secagg -> left -> right -> tokio",
        ),
        (
            &[
                ("chorus-coordinator", "chorus-torch"),
                ("chorus-torch", "tch"),
            ],
            "chorus-coordinator reaches tch: chorus-coordinator -> chorus-torch -> tch",
        ),
        (
            &[("chorus-cli", "tch")],
            "chorus-cli -> tch: libtorch is reached through chorus-torch alone",
        ),
        (
            &[("chorus-simulator", "mpi")],
            "chorus-simulator -> mpi: MPI is reached through chorus-mpi alone",
        ),
        (
            &[("chorus-client", "anyhow")],
            "chorus-client is a library and names anyhow",
        ),
        (
            &[("chorus-protocol", "rand")],
            "chorus-protocol names rand: its randomness comes from the caller",
        ),
    ];
    for (arrows, sentence) in bad {
        let found = faults(&Graph::of(&members, arrows));
        assert!(
            found.iter().any(|fault| fault == sentence),
            "expected `{sentence}` among {found:?}"
        );
    }
    let stranger = Graph::of(&["chorus-helper"], &[]);
    assert_eq!(faults(&stranger), ["chorus-helper is not in the drawing"]);
}
