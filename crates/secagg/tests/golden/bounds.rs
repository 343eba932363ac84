//! `bounds.json`: exact arithmetic.

use chorus_secagg::{Assumptions, GraphPlan, PlanError, plan};

use crate::reading::{Case, cases};

#[test]
fn bounds() {
    for case in cases("bounds", &["achieved", "plan", "bad_plan"]) {
        let clients = case.get("clients");
        let assumptions = Assumptions {
            corrupt: case.get("corrupt"),
            dropout: case.get("dropout"),
            ..Assumptions::DEFAULT
        };
        if case.kind() == "achieved" {
            achieved(&case, clients, &assumptions);
            continue;
        }
        let assumptions = Assumptions {
            secrecy_bits: case.get("secrecy_bits"),
            correctness_bits: case.get("correctness_bits"),
            ..assumptions
        };
        let found = plan(clients, &assumptions);
        if case.kind() == "plan" {
            let (degree, threshold) = (case.get("degree"), case.get("threshold"));
            assert_eq!(
                found,
                Ok(GraphPlan {
                    clients,
                    degree,
                    threshold
                })
            );
        } else {
            let refused = found.unwrap_err();
            let named = matches!(
                refused,
                PlanError::TooManyLost { .. } | PlanError::Infeasible { .. }
            );
            assert!(named, "{refused}");
        }
    }
}

fn achieved(case: &Case, clients: usize, assumptions: &Assumptions) {
    let plan = GraphPlan {
        clients,
        degree: case.get("degree"),
        threshold: case.get("threshold"),
    };
    let achieved = plan.achieved(assumptions);
    assert_eq!(plan.guard(assumptions), case.get::<usize>("guard"));
    for (name, found) in [
        ("secrecy", achieved.secrecy),
        ("connectivity", achieved.connectivity),
        ("correctness", achieved.correctness),
        ("guarded", achieved.guard),
    ] {
        // Absent is what cannot happen: JSON has no infinity.
        let expected = match case.has(name) {
            true => case.get(name),
            false => f64::NEG_INFINITY,
        };
        let close = found == expected || (found - expected).abs() <= 1e-9 * expected.abs().max(1.0);
        assert!(close, "{name} of {plan:?}: {found}, not {expected}");
    }
}
