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

type Planner = fn(usize, &Assumptions) -> Result<GraphPlan, PlanError>;

fn row(planner: Planner, assumptions: &Assumptions) -> String {
    let cells: Vec<String> = SIZES
        .iter()
        .map(|clients| match planner(*clients, assumptions) {
            Ok(plan) => format!("{}/{}", plan.degree, plan.threshold),
            Err(_) => "none".to_owned(),
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

/// The rows of secagg.md 4.1, which knows no guard. Four of its cells (300 clients at .10/.10 and .20/.30, 1,000 at .20/.30 with 20 bits, 10,000
/// likewise) are one step smaller or larger there: it counts a survivor among its own neighbours when it asks how many
/// of them survive, and it searches large degrees in larger steps.
#[test]
fn reproduces_the_table_of_the_design() {
    for (assumptions, cells) in [
        (assume(0.05, 0.05, 40), "28/14 | 36/18 | 42/21 | 46/23"),
        (assume(0.10, 0.10, 40), "46/23 | 58/29 | 68/34 | 74/37"),
        (assume(0.10, 0.30, 40), "80/28 | 114/41 | 138/50 | 150/55"),
        (assume(0.10, 0.30, 20), "66/26 | 88/36 | 106/43 | 120/48"),
        (assume(0.20, 0.30, 20), "98/47 | 140/67 | 182/86 | 200/94"),
    ] {
        let row = row(good, &assumptions);
        assert!(row.ends_with(&format!("| {cells} |")), "{row}");
    }
}

/// Degree and threshold that `graph_parameter_finder_test.cc` of google-parfait/federated-compute expects for an
/// honest-but-curious server, 40 bits of security and 20 of correctness. It halves the security between its two events,
/// hence 41 bits here, draws neighbours from `n` clients where we draw them from the other `n - 1`, and rounds the number
/// of corrupt clients down. That makes no difference in 22 of 25 cells; in the others, ours is larger by a step.
#[test]
fn agrees_with_an_implementation_of_the_authors_of_the_paper() {
    let cells = [
        (0.33, 0.33, 100, 68, 34),
        (0.05, 0.33, 100, 28, 6),
        (0.05, 0.33, 1_000, 72, 24),
        (0.05, 0.33, 10_000, 86, 29),
        (0.05, 0.33, 100_000, 96, 32),
        (0.05, 0.33, 1_000_000, 102, 34),
        (0.33, 0.05, 100, 34, 29),
        (0.33, 0.05, 1_000, 78, 60),
        (0.33, 0.05, 10_000, 92, 70),
        (0.33, 0.05, 100_000, 102, 77),
        (0.33, 0.05, 1_000_000, 110, 83),
        (0.05, 0.05, 100, 12, 6),
        (0.05, 0.05, 1_000, 30, 17),
        (0.05, 0.05, 10_000, 34, 20),
        (0.05, 0.05, 100_000, 36, 21),
        (0.05, 0.05, 1_000_000, 38, 22),
        (0.33, 0.0, 100, 26, 25),
        (0.33, 0.0, 1_000, 38, 36),
        (0.33, 0.0, 10_000, 42, 40),
        (0.33, 0.0, 100_000, 46, 44),
        (0.33, 0.0, 1_000_000, 50, 47),
        (0.0, 0.33, 1_000, 38, 2),
        (0.0, 0.33, 10_000, 42, 2),
        (0.0, 0.33, 100_000, 46, 2),
        (0.0, 0.33, 1_000_000, 50, 2),
    ];
    let mut equal = 0;
    for (corrupt, dropout, clients, degree, threshold) in cells {
        let stricter = Assumptions {
            secrecy_bits: 41,
            ..assume(corrupt, dropout, 20)
        };
        let ours = good(clients, &stricter).unwrap();
        let close = (degree..=degree + 2).contains(&ours.degree)
            && (threshold..=threshold + 1).contains(&ours.threshold);
        assert!(close, "{corrupt} {dropout} {ours:?}");
        equal += usize::from((ours.degree, ours.threshold) == (degree, threshold));
    }
    assert_eq!(equal, 22);
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
        let row = row(plan, &assumptions);
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
}

#[test]
fn refusals_say_what_fails_and_what_would_help() {
    let refusal = |clients, assumptions| plan(clients, &assumptions).unwrap_err();
    assert_eq!(
        refusal(20, assume(0.1, 0.6, 40)),
        PlanError::TooManyLost {
            clients: 20,
            threshold: 12,
            holders: 7
        }
    );
    let bound = |error| match error {
        PlanError::Infeasible { bound, degree, .. } => (bound, degree),
        other => panic!("{other}"),
    };
    let lost = refusal(10_000, assume(0.4, 0.3, 40));
    assert_eq!(bound(lost), (Bound::Correctness, 254));
    let apart = refusal(10_000, assume(0.4, 0.5, 40));
    assert_eq!(bound(apart), (Bound::Connectivity, 254));
    let hopeless = Assumptions {
        secrecy_bits: 256,
        ..assume(0.49, 0.0, 1)
    };
    let open = refusal(100_000, hopeless);
    assert_eq!(bound(open), (Bound::Connectivity, 254));
    for (error, words) in [
        (refusal(9, Assumptions::DEFAULT), "invite more"),
        (refusal(1 << 21, Assumptions::DEFAULT), "split the cohort"),
        (
            refusal(20, assume(0.1, 0.6, 40)),
            "only 7 other clients are left: assume fewer dropouts",
        ),
        (
            lost,
            "assume fewer dropouts or fewer corrupt clients, or ask for fewer bits of correctness, or split",
        ),
        (
            apart,
            "reveal two sums is 2^-13, and at most 2^-40 was asked for (connectivity): assume fewer",
        ),
        (
            refusal(100_000, assume(0.3, 0.45, 40)),
            "safe from its corrupt ones is over a half, and",
        ),
        (open, "2^-229, and at most 2^-256"),
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn what_is_achieved_is_what_was_planned() {
    for assumptions in [
        Assumptions::DEFAULT,
        assume(0.05, 0.05, 40),
        assume(0.2, 0.3, 20),
        assume(0.0, 0.3, 20),
        assume(0.1, 0.0, 20),
        Assumptions {
            secrecy_bits: 80,
            ..Assumptions::DEFAULT
        },
    ] {
        for clients in [12, 50, 99, 100, 131, 1_000, 20_000] {
            let plan = plan(clients, &assumptions).unwrap();
            let achieved = plan.achieved(&assumptions);
            assert!(achieved.meets(&assumptions), "{clients} {achieved:?}");
            assert_eq!(
                plan.complete(),
                achieved.connectivity == f64::NEG_INFINITY && clients < 100
            );
            if plan.complete() {
                assert_eq!(achieved.secrecy, f64::NEG_INFINITY);
                assert_eq!(achieved.correctness, f64::NEG_INFINITY);
                assert_eq!(
                    (achieved.guard, plan.guard(&assumptions)),
                    (f64::NEG_INFINITY, 0)
                );
                continue;
            }
            // One share fewer and corrupt neighbours suffice, or an envelope would hold the secret itself.
            let weaker = GraphPlan {
                threshold: plan.threshold - 1,
                ..plan
            };
            assert!(
                !weaker.achieved(&assumptions).meets(&assumptions),
                "{clients}"
            );
            let sparser = GraphPlan {
                degree: plan.degree - 2,
                ..plan
            };
            assert!(
                !sparser.achieved(&assumptions).meets(&assumptions),
                "{clients}"
            );
        }
    }
}

#[test]
fn nothing_is_promised_of_an_impossible_graph() {
    let assumptions = Assumptions::DEFAULT;
    let sound = plan(1_000, &assumptions).unwrap();
    for wrong in [
        GraphPlan {
            clients: 0,
            ..sound
        },
        GraphPlan {
            clients: 1,
            ..sound
        },
        GraphPlan {
            clients: usize::MAX,
            ..sound
        },
        GraphPlan { degree: 0, ..sound },
        GraphPlan {
            degree: 1,
            threshold: 1,
            ..sound
        },
        GraphPlan {
            degree: 1_000,
            ..sound
        },
        GraphPlan {
            threshold: 0,
            ..sound
        },
        GraphPlan {
            threshold: 1,
            ..sound
        },
        GraphPlan {
            threshold: 115,
            ..sound
        },
    ] {
        assert!(
            !wrong.achieved(&assumptions).meets(&assumptions),
            "{wrong:?}"
        );
        assert_eq!(wrong.guard(&assumptions), usize::MAX);
        work(&wrong, Ring::Bits16, 10, 0.3);
    }
    let odd = GraphPlan {
        degree: 115,
        ..sound
    };
    assert_eq!(odd.achieved(&assumptions), sound.achieved(&assumptions));
    for unsound in [
        assume(f64::NAN, 0.3, 40),
        assume(0.1, f64::INFINITY, 40),
        assume(0.1, 0.3, 0),
    ] {
        let achieved = sound.achieved(&unsound);
        assert_eq!((achieved.secrecy, achieved.meets(&unsound)), (0.0, false));
        assert_eq!(sound.guard(&unsound), usize::MAX);
    }
}

/// The README's table of what the guard asks for, and how seldom an honest round falls short.
#[test]
fn the_readme_prints_the_computed_guards() {
    let readme = include_str!("../../README.md");
    for assumptions in [assume(0.05, 0.05, 40), Assumptions::DEFAULT] {
        let cells = SIZES.map(|clients| {
            let plan = plan(clients, &assumptions).unwrap();
            let failure = plan.achieved(&assumptions).guard;
            format!("{}, 2^{failure:.0}", plan.guard(&assumptions))
        });
        let row = format!(
            "| {:.2} | {:.2} | {} |",
            assumptions.corrupt,
            assumptions.dropout,
            cells.join(" | ")
        );
        assert!(readme.contains(&row), "README lacks the row {row}");
    }
}

/// A good graph of 10,000 clients falls below the guard more often than a round may be given up.
#[test]
fn the_guard_is_paid_for_in_neighbours() {
    let assumptions = Assumptions::DEFAULT;
    let good = good(10_000, &assumptions).unwrap();
    let plan = plan(10_000, &assumptions).unwrap();
    assert!(good.degree < plan.degree);
    assert!(good.achieved(&assumptions).guard > -20.0);
    assert!(!good.achieved(&assumptions).meets(&assumptions));
    assert!(plan.achieved(&assumptions).guard <= -20.0);
    let unmeetable = super::plan(100_000, &assume(0.25, 0.3, 20)).unwrap_err();
    let PlanError::Infeasible { bound, wanted, .. } = unmeetable else {
        panic!("{unmeetable}");
    };
    assert_eq!((bound, wanted), (Bound::Guard, 20), "{unmeetable}");
}

#[test]
fn the_smallest_ring_that_holds_a_sum() {
    for (clients, value_bits, ring) in [
        (1, 16, Some(Ring::Bits16)),
        (2, 16, Some(Ring::Bits20)),
        (16, 16, Some(Ring::Bits20)),
        (17, 16, Some(Ring::Bits24)),
        // secagg.md 4.6: 12-bit values of 1,000 clients give 22 bits.
        (1_000, 12, Some(Ring::Bits24)),
        (1_000, 10, Some(Ring::Bits20)),
        (1_024, 22, Some(Ring::Bits32)),
        (1_025, 22, None),
        (0, 1, Some(Ring::Bits16)),
        (usize::MAX, 1, None),
        (2, u32::MAX, None),
    ] {
        assert_eq!(
            ring_for(clients, value_bits),
            ring,
            "{clients} {value_bits}"
        );
    }
}

/// secagg.md 5: 24,640 masks of 4 MB to unmask with a third dropped, 460 MB of keystream for a client.
#[test]
fn the_work_of_the_cost_model() {
    let plan = plan(1_000, &Assumptions::DEFAULT).unwrap();
    let work = work(&plan, Ring::Bits32, 1_000_000, 0.3);
    assert_eq!(
        (work.upload_bytes, work.float32_bytes),
        (4_000_032, 4_000_000)
    );
    assert_eq!(work.client_key_agreements, 342);
    assert_eq!(work.client_keystream_bytes, 115 * 4_000_032);
    assert_eq!(work.client_share_bytes_up, 114 * (80 + 32));
    assert_eq!(work.client_share_bytes_down, 114 * 80);
    assert_eq!(work.coordinator_key_agreements, 23_964);
    assert_eq!(work.coordinator_keystream_bytes, (700 + 23_964) * 4_000_032);
    assert_eq!(work.coordinator_sum_bytes, 700 * 4_000_032);
    let narrow = super::work(&plan, Ring::Bits16, 1_000_000, 0.0);
    assert_eq!(narrow.upload_bytes, 2_000_032);
    assert_eq!(narrow.coordinator_key_agreements, 0);
    assert_eq!(narrow.coordinator_keystream_bytes, 1_000 * 2_000_032);
    let everyone = super::work(&plan, Ring::Bits20, usize::MAX, f64::NAN);
    assert_eq!(everyone.coordinator_sum_bytes, u64::MAX);
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
        let alive = n - dropped;
        let too_few = |others| -> f64 { (0..t).map(|x| probability(n - 1, others, k, x)).sum() };
        let correctness = alive as f64 * too_few(alive - 1) + dropped as f64 * too_few(alive);
        let connectivity = choose(n, 2) * probability(n, corrupt + dropped, k, k);
        n as f64 * secrecy + connectivity <= bound && correctness <= bound
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
