use chorus_protocol::Funnel;

use super::*;
use crate::Noise;

fn quality(hr: f64) -> Quality {
    Quality {
        hr_at_10: hr,
        ndcg_at_10: hr * 0.58,
        full_hr_at_10: hr * 0.2,
        full_ndcg_at_10: hr * 0.1,
        full_recall_at_20: hr * 0.3,
        full_ndcg_at_20: 0.0,
        cases: 943,
    }
}

/// A federation of `rounds` rounds that was never run.
pub(crate) fn invented(rounds: usize, noise: Noise) -> Report {
    let rows: Vec<RoundRow> = (0..rounds)
        .map(|round| RoundRow {
            name: if round == 0 {
                "history".into()
            } else {
                format!("gradient-{round}")
            },
            funnel: Funnel {
                invited: 94,
                advertised: 92,
                shared: 90,
                confirmed: 87,
                uploaded: 85,
                unmasked: 85,
            },
            completed: true,
            quality: Some(quality(0.58 - 0.48 * (-(round as f64) / 4.0).exp())),
            seconds: 0.4,
            upload_bytes: if round == 0 { 6_764 } else { 224_176 },
            epsilon: (noise == Noise::Distributed)
                .then_some(8.0 * ((round + 1) as f64 / rounds as f64).sqrt() * 0.998),
            clipped: 0,
            sum_exact: true,
            staleness: None,
            live: None,
            note: None,
        })
        .collect();
    let mut word = 1u64;
    let mut random = move || {
        word = word
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (word >> 32) as u32
    };
    let upload = (0..20_000).map(|_| random()).collect();
    let sum = (0..20_000u32)
        .map(|place| {
            (((f64::from(place) / 9.0).sin() * f64::from(place / 32 % 17)) * 3e4) as i32 as u32
        })
        .collect();
    let mut figures = Figures {
        rounds,
        rounds_completed: rounds,
        clients: 943,
        dropouts: 9 * rounds,
        epsilon: rows.last().and_then(|row| row.epsilon),
        delta: (noise == Noise::Distributed).then_some(1e-5),
        upload_bytes_per_client: 224_176,
        wall_seconds: 12.4,
        sum_exact: true,
        clipped_share: 0.0,
        noise,
        split: 1,
        seed: 1,
        data: "ml-100k".into(),
        command: "chorus simulate --data ml-100k".into(),
        ..Figures::default()
    };
    let popularity = quality(0.316);
    if let Some(last) = rows.last().and_then(|row| row.quality) {
        figures.set_quality(&last, &popularity);
    }
    Report {
        title: "ml-100k, simulated".into(),
        setting: "943 simulated clients in one process.".into(),
        figures,
        popularity,
        rounds: rows,
        guarantee: match noise {
            Noise::Off => "No differential privacy is claimed.".into(),
            Noise::Distributed | Noise::Central | Noise::Local => {
                "Privacy guarantee.\nNeighbouring: zero-out.".into()
            }
        },
        trust: "Protects against an honest-but-curious coordinator.".into(),
        picture: Some(Picture {
            round: "gradient-7".into(),
            upload,
            sum,
        }),
    }
}

/// A page that needs nothing else, with markup that closes what it opens.
pub(crate) fn stands_alone(page: &str) {
    for forbidden in [
        "http:", "https:", "<script", "src=", "href=", "@import", "style=", "NaN", "inf ",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    // The only url() is a pattern of the page itself.
    assert_eq!(page.matches("url(").count(), page.matches("url(#p").count());
    assert_eq!(page.matches("<h1").count(), 1);
    is_well_formed(page);
}

/// Writes a page to look at, where `CHORUS_PAGES` names a folder.
pub(crate) fn show(name: &str, page: &str) {
    if let Ok(folder) = std::env::var("CHORUS_PAGES") {
        let file = std::path::Path::new(&folder).join(format!("{name}.html"));
        std::fs::write(file, page).unwrap();
    }
}

#[test]
fn the_page_stands_alone_and_answers_first() {
    let page = invented(31, Noise::Off).to_html();
    stands_alone(&page);
    assert!(page.contains("31 of 31 rounds"));
    assert!(page.matches("No differential privacy is claimed").count() >= 3);
    assert!(page.find("Did it work?") < page.find("Quality per round"));
    assert!(page.len() < 200_000, "{}", page.len());
}

#[test]
fn with_noise_the_budget_is_printed() {
    let page = invented(5, Noise::Distributed).to_html();
    assert!(page.contains("ε\u{a0}=\u{a0}7.99 (δ\u{a0}=\u{a0}1e-5)"));
    assert!(!page.contains("No differential privacy"));
}

/// Whoever adds the noise, there is an epsilon.
#[test]
fn what_was_spent_is_drawn_for_every_kind_of_noise() {
    for noise in [Noise::Distributed, Noise::Central, Noise::Local] {
        let mut report = invented(5, Noise::Distributed);
        report.figures.noise = noise;
        let page = report.to_html();
        assert!(page.contains("After the last sum a client has spent ε"));
        assert!(!page.contains("Nothing to count: noise was off"));
    }
}

#[test]
fn every_text_is_escaped() {
    let mut report = invented(3, Noise::Off);
    let evil = "<img src=x onerror=alert(1)>\"'&".to_owned();
    report.title = evil.clone();
    report.setting = evil.clone();
    report.guarantee = evil.clone();
    report.trust = evil.clone();
    report.figures.command = evil.clone();
    report.figures.data = evil.clone();
    report.rounds[1].name = evil.clone();
    if let Some(picture) = &mut report.picture {
        picture.round = evil;
    }
    let page = report.to_html();
    assert!(!page.contains("<img"));
    assert!(page.matches("&lt;img").count() >= 8);
}

#[test]
fn odd_reports_are_still_pages() {
    let mut empty = invented(3, Noise::Distributed);
    empty.rounds.clear();
    empty.picture = Some(Picture {
        round: String::new(),
        upload: vec![],
        sum: vec![],
    });
    let mut unmeasured = invented(2, Noise::Off);
    unmeasured
        .rounds
        .iter_mut()
        .for_each(|row| row.quality = None);
    let mut failed = invented(1, Noise::Distributed);
    failed.figures.rounds_completed = 0;
    failed.rounds[0].completed = false;
    failed.rounds[0].funnel = Funnel {
        invited: 12,
        advertised: 7,
        ..Funnel::default()
    };
    failed.picture = None;
    for report in [empty, unmeasured, failed] {
        let page = report.to_html();
        assert!(page.ends_with("</html>\n"));
        assert!(!page.contains("NaN"));
    }
}

/// Every tag that is opened is closed, in order: browsers mend what is broken in ways of their own.
fn is_well_formed(page: &str) {
    let mut open = Vec::new();
    for piece in page.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').unwrap();
        let name = tag.split([' ', '/']).next().unwrap();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "…{piece}");
        } else if !tag.ends_with('/') && !matches!(name, "!doctype" | "meta") {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn pages_to_look_at() {
    show("off", &invented(31, Noise::Off).to_html());
    let noisy = invented(5, Noise::Distributed).to_html();
    is_well_formed(&noisy);
    show("on", &noisy);
}
