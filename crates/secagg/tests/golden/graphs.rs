//! `graphs.json`.

use chorus_secagg::{Graph, GraphPlan, share_position};

use crate::reading::{Case, cases};

const KINDS: [&str; 5] = [
    "ring",
    "complete",
    "weakest_cut",
    "position",
    "bad_position",
];

fn graph(case: &Case) -> Graph {
    let plan = GraphPlan {
        clients: case.get("clients"),
        degree: case.get("degree"),
        threshold: 2,
    };
    Graph::new(&case.key("seed"), &plan)
}

#[test]
fn graphs() {
    for case in cases("graphs", &KINDS) {
        match case.kind() {
            "ring" | "complete" => {
                let graph = graph(&case);
                for one in case.parts("neighbours") {
                    let expected: Vec<u32> = one.get("neighbours");
                    assert_eq!(graph.neighbours(one.get("index")), expected);
                }
            }
            "weakest_cut" => {
                let lost: Vec<u32> = case.get("lost");
                let weakest = graph(&case).weakest_cut(|client| !lost.contains(&client));
                assert_eq!(weakest, Some(case.get("weakest")));
            }
            _ => {
                let neighbours: Vec<u32> = case.get("neighbours");
                let position = share_position(&neighbours, case.get("receiver"));
                let expected = case.has("x").then(|| case.get("x"));
                assert_eq!(position, expected, "{}", case.kind());
            }
        }
    }
}
