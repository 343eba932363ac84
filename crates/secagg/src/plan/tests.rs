use super::*;

fn assume(corrupt: f64, dropout: f64, correctness_bits: u32) -> Assumptions {
    Assumptions {
        corrupt,
        dropout,
        secrecy_bits: 40,
        correctness_bits,
    }
}

const SIZES: [usize; 4] = [300, 1_000, 10_000, 100_000];

fn row(assumptions: &Assumptions) -> String {
    let cells: Vec<String> = SIZES
        .iter()
        .map(|clients| {
            let plan = plan(*clients, assumptions).unwrap();
            format!("{}/{}", plan.degree, plan.threshold)
        })
        .collect();
    format!(
        "| {:.2} | {:.2} | {} | {} |",
        assumptions.corrupt,
        assumptions.dropout,
        assumptions.correctness_bits,
        cells.join(" | ")
    )
}

/// The rows of secagg.md 4.1; the last is one step smaller there at n = 10,000 (184/87), because its search took larger
/// steps. Exact integer arithmetic confirms 182/86.
#[test]
fn reproduces_the_table_of_the_design() {
    for (assumptions, cells) in [
        (assume(0.05, 0.05, 40), "28/14 | 36/18 | 42/21 | 46/23"),
        (assume(0.10, 0.10, 40), "44/23 | 58/29 | 68/34 | 74/37"),
        (assume(0.10, 0.30, 40), "80/28 | 114/41 | 138/50 | 150/55"),
        (assume(0.10, 0.30, 20), "66/26 | 88/36 | 106/43 | 120/48"),
        (assume(0.20, 0.30, 20), "96/46 | 138/66 | 182/86 | 200/94"),
    ] {
        assert!(
            row(&assumptions).ends_with(&format!("| {cells} |")),
            "{}",
            row(&assumptions)
        );
    }
}

#[test]
fn the_readme_prints_the_computed_table() {
    let readme = include_str!("../../README.md");
    for assumptions in [
        assume(0.05, 0.05, 40),
        assume(0.10, 0.10, 40),
        assume(0.10, 0.30, 40),
        assume(0.20, 0.30, 40),
        assume(0.10, 0.30, 20),
        assume(0.20, 0.30, 20),
    ] {
        let row = row(&assumptions);
        assert!(readme.contains(&row), "README lacks the row {row}");
    }
}

#[test]
fn small_cohorts_survive_the_assumed_dropout() {
    for clients in MINIMUM_CLIENTS..COMPLETE_BELOW {
        let plan = plan(clients, &Assumptions::DEFAULT).unwrap();
        let corrupt = clients.div_ceil(10);
        assert_eq!(plan.degree, clients - 1);
        assert_eq!(plan.threshold, (clients + corrupt) / 2 + 1);
        let survivors = clients - clients * 3 / 10;
        assert!(survivors > plan.threshold, "{clients} clients");
        assert!(plan.threshold > corrupt, "{clients} clients");
    }
}

#[test]
fn refuses_what_it_cannot_promise() {
    let default = Assumptions::DEFAULT;
    for clients in 0..MINIMUM_CLIENTS {
        assert_eq!(
            plan(clients, &default),
            Err(PlanError::TooFewClients { clients })
        );
    }
    let clients = MAXIMUM_CLIENTS + 1;
    assert_eq!(
        plan(clients, &default),
        Err(PlanError::TooManyClients { clients })
    );
    for wrong in [
        assume(f64::NAN, 0.3, 40),
        assume(0.1, f64::NAN, 40),
        assume(-0.1, 0.3, 40),
        assume(0.5, 0.1, 40),
        assume(0.4, 0.6, 40),
        assume(0.1, 0.3, 0),
        Assumptions {
            secrecy_bits: 39,
            ..default
        },
    ] {
        assert_eq!(plan(500, &wrong), Err(PlanError::Assumptions), "{wrong:?}");
    }
    assert_eq!(
        plan(20, &assume(0.1, 0.6, 40)),
        Err(PlanError::Infeasible { clients: 20 })
    );
    assert_eq!(
        plan(10_000, &assume(0.4, 0.5, 40)),
        Err(PlanError::Infeasible { clients: 10_000 })
    );
}

/// Every bound summed term by term from plain logarithms, and the next smaller degree fails for every threshold.
#[test]
fn plans_meet_the_bounds_and_are_minimal() {
    let ln_factorials: Vec<f64> = (0..2_001)
        .scan(0.0, |sum, n| {
            *sum += f64::ln(f64::max(n as f64, 1.0));
            Some(*sum)
        })
        .collect();
    let choose = |n: usize, k: usize| {
        if k > n {
            0.0
        } else {
            (ln_factorials[n] - ln_factorials[k] - ln_factorials[n - k]).exp()
        }
    };
    let probability = |n: usize, marked: usize, k: usize, x: usize| {
        let (unmarked, drawn) = (n - marked, k - x);
        if x > marked || drawn > unmarked {
            return 0.0;
        }
        (ln_factorials[marked] - ln_factorials[x] - ln_factorials[marked - x]
            + ln_factorials[unmarked]
            - ln_factorials[drawn]
            - ln_factorials[unmarked - drawn]
            - ln_factorials[n]
            + ln_factorials[k]
            + ln_factorials[n - k])
            .exp()
    };
    let bound = f64::exp2(-40.0);
    let holds = |n: usize, k: usize, t: usize| {
        let (corrupt, dropped) = (n.div_ceil(10), n * 3 / 10);
        let secrecy: f64 = (t..=k).map(|x| probability(n - 1, corrupt, k, x)).sum();
        let correctness: f64 = (0..t).map(|x| probability(n - 1, n - dropped, k, x)).sum();
        let connectivity = choose(n, 2) * probability(n, corrupt + dropped, k, k);
        n as f64 * secrecy <= bound && n as f64 * correctness <= bound && connectivity <= bound
    };
    for clients in [100, 101, 117, 150, 300, 512, 999, 2_000] {
        let GraphPlan {
            degree, threshold, ..
        } = plan(clients, &Assumptions::DEFAULT).unwrap();
        assert!(
            holds(clients, degree, threshold),
            "{clients}: {degree}/{threshold}"
        );
        assert!(
            !holds(clients, degree, threshold - 1),
            "{clients}: threshold not minimal"
        );
        let smaller = degree - 2;
        assert!(
            (2..=smaller).all(|t| !holds(clients, smaller, t)),
            "{clients}: degree not minimal"
        );
    }
}

#[test]
fn every_cohort_of_the_default_row_has_a_plan() {
    for clients in (MINIMUM_CLIENTS..3_000).chain([10_000, 50_000, 100_000, MAXIMUM_CLIENTS]) {
        let plan = plan(clients, &Assumptions::DEFAULT).unwrap();
        assert!(plan.degree <= MAXIMUM_DEGREE && plan.degree < clients);
        assert!((2..=plan.degree).contains(&plan.threshold));
    }
}
