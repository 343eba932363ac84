//! The answer first, and how to read the rest.

use chorus_model::{Interval, Quality};

use super::{Set, ShownRun, best_of};
use crate::RoundRow;
use crate::report::text::{budget, bytes, count, escape, percent, score, seconds};

/// Data sets that a headline has room for.
const NAMED: usize = 3;

/// One sentence that answers which run is best, how good, how private, at what cost.
pub(super) fn headline(sets: &[Set<'_>]) -> String {
    let name = |set: &Set<'_>| set.data().map(|data| data.name.clone()).unwrap_or_default();
    match sets {
        [set] => of_a_set(set),
        sets if sets.len() <= NAMED => {
            let each = sets
                .iter()
                .map(|set| format!("{}: {}", name(set), in_short(set)));
            each.collect::<Vec<_>>().join("; ")
        }
        sets => {
            let runs: usize = sets.iter().map(|set| set.runs.len()).sum();
            let beats = |set: &&Set<'_>| {
                let best = set.best();
                best.is_some_and(|best| best.hits() > set.popularity().hr_at_10)
            };
            let beaten = sets.iter().filter(beats).count();
            let all = sets.len();
            format!(
                "{} runs: the best of them beats popularity on {beaten} of {all} data sets",
                count(runs)
            )
        }
    }
}

fn how_private(run: &ShownRun) -> String {
    match run.spent() {
        Some((epsilon, delta)) => format!("at {}", budget(epsilon, Some(delta))),
        None => "without differential privacy".to_owned(),
    }
}

fn in_short(set: &Set<'_>) -> String {
    let Some(best) = set.best() else {
        return "nothing was measured yet".to_owned();
    };
    format!(
        "the next item among the first ten in {}, by popularity in {}, {}",
        percent(best.hits()),
        percent(set.popularity().hr_at_10),
        how_private(best)
    )
}

fn of_a_set(set: &Set<'_>) -> String {
    let runs = set.runs.len();
    let Some(best) = set.best() else {
        return match runs {
            1 => "Nothing was measured in this run yet".to_owned(),
            _ => format!("Nothing was measured in any of {} runs yet", count(runs)),
        };
    };
    let popularity = set.popularity().hr_at_10;
    let (found, by_popularity) = (percent(best.hits()), percent(popularity));
    let how_good = match (runs, best.hits() > popularity) {
        (1, true) => format!(
            "It puts the next item among the first ten in {found} of cases, popularity in {by_popularity}"
        ),
        (1, false) => format!(
            "It does not beat popularity: {found} of next items are among the first ten, against {by_popularity}"
        ),
        (_, true) => format!(
            "The best of {} runs puts the next item among the first ten in {found} of cases, popularity in {by_popularity}",
            count(runs)
        ),
        (_, false) => format!(
            "None of {} runs beats popularity: the best puts {found} of next items among the first ten, against {by_popularity}",
            count(runs)
        ),
    };
    let so_far = match best.record.is_finished() {
        true => "",
        false => ", so far",
    };
    format!(
        "{how_good}, {}, for {} an upload{so_far}",
        how_private(best),
        bytes(best.upload())
    )
}

/// What stands over the headline.
pub(super) fn title(sets: &[Set<'_>]) -> String {
    let names = sets
        .iter()
        .filter_map(|set| Some(set.data()?.name.as_str()));
    let names = names.collect::<Vec<_>>().join(", ");
    match sets {
        [set] if set.runs.len() == 1 => format!("{names}, one run"),
        _ => {
            let runs: usize = sets.iter().map(|set| set.runs.len()).sum();
            format!("{names}, {} runs", count(runs))
        }
    }
}

pub(super) fn lead(sets: &[Set<'_>]) -> String {
    let of = |set: &Set<'_>| {
        let data = set.data()?;
        let (users, items) = (count(data.users), count(data.items));
        Some(format!("{}: {users} people, {items} items", data.name))
    };
    let data = sets.iter().filter_map(of).collect::<Vec<_>>().join("; ");
    let apart = match sets.len() {
        1 => "",
        _ => {
            " Figures on different data cannot be compared, so each run stands beside the popularity of its own."
        }
    };
    format!(
        "{data}. Every run was simulated in one process, through the functions of the product.{apart}"
    )
}

/// The table with the answers.
pub(super) fn questions(sets: &[Set<'_>]) -> String {
    let mut rows = String::new();
    for set in sets {
        if let (2.., Some(data)) = (sets.len(), set.data()) {
            let name = escape(&data.name);
            rows.push_str(&format!(
                "<tr><th scope=\"rowgroup\" colspan=\"2\">{name}</th></tr>"
            ));
        }
        for (question, answer) in answers(set) {
            rows.push_str(&format!(
                "<tr><th scope=\"row\">{question}</th><td>{}</td></tr>",
                escape(&answer)
            ));
        }
    }
    let is_private = |run: &&&ShownRun| run.record.task.privacy.bound().is_some();
    let runs: Vec<&ShownRun> = sets
        .iter()
        .flat_map(|set| set.runs.iter().copied())
        .collect();
    let private = runs.iter().filter(|run| is_private(run)).count();
    let warning = match runs.len() - private {
        0 => String::new(),
        without => {
            let which = match (without, private) {
                (1, 0) => "this run".to_owned(),
                (_, 0) => "every run here".to_owned(),
                _ => format!("{without} of these {} runs", runs.len()),
            };
            format!(
                "<div class=\"note warn\"><p><strong>No differential privacy is claimed of {which}.</strong> Noise was off. Secure \
                 aggregation hides each contribution inside its sum; what the sums and the model say about one person is not \
                 bounded.</p></div>"
            )
        }
    };
    format!(
        "<section aria-label=\"Answers\"><table class=\"answer\"><tbody>{rows}</tbody></table>{warning}</section>"
    )
}

fn answers(set: &Set<'_>) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if let Some(best) = set.best() {
        rows.push(("How good is it?", quality(set, best)));
        rows.push(("Beside what?", beside(set, best)));
        rows.push(("How private is it?", privacy(set, best)));
        rows.push(("What did it take?", cost(best)));
    }
    rows.extend(failed(set).map(|said| ("Did every sum arrive?", said)));
    rows.extend(unfinished(set).map(|said| ("Is it all there?", said)));
    rows
}

/// Rounds without a sum, and sums that are not what was encoded.
fn failed(set: &Set<'_>) -> Option<String> {
    let rows: Vec<&RoundRow> = set.runs.iter().flat_map(|run| &run.record.rounds).collect();
    let lost = rows.iter().filter(|row| !row.completed).count();
    let inexact = rows
        .iter()
        .filter(|row| row.completed && !row.sum_exact)
        .count();
    let of_all =
        |some: usize, what| format!("{} of {} rounds {what}", count(some), count(rows.len()));
    let lost = (lost > 0).then(|| of_all(lost, "ended without a sum"));
    let inexact =
        (inexact > 0).then(|| of_all(inexact, "ended with another sum than the clients encoded"));
    let said: Vec<String> = lost.into_iter().chain(inexact).collect();
    (!said.is_empty()).then(|| format!("No: {}.", said.join(", and ")))
}

fn unfinished(set: &Set<'_>) -> Option<String> {
    let runs = set.runs.iter();
    let unfinished = runs.filter_map(|run| Some(format!("{} {}", run.called(), run.unfinished()?)));
    let unfinished: Vec<String> = unfinished.collect();
    let others = match unfinished.len() {
        0 | 1 => String::new(),
        2 => ", and another is not finished either".to_owned(),
        all => format!(", and {} others are not finished either", all - 1),
    };
    let first = unfinished.first()?;
    Some(format!(
        "No: {first}{others}. What is shown of it is what it had by then."
    ))
}

fn figures(quality: &Quality) -> String {
    format!(
        "HR@10 {}, NDCG@10 {} among 99 others; {} and {} among all",
        score(quality.hr_at_10),
        score(quality.ndcg_at_10),
        score(quality.full_hr_at_10),
        score(quality.full_ndcg_at_10)
    )
}

fn quality(set: &Set<'_>, best: &ShownRun) -> String {
    let Some(quality) = best.quality() else {
        return String::new();
    };
    let who = match set.runs.len() {
        1 => String::new(),
        _ => format!("Best by HR@10 is {}. ", best.called()),
    };
    let within = Interval::of_mean(quality.hr_at_10, quality.cases);
    let within = within.map_or_else(String::new, |within| {
        format!(
            " The 95\u{a0}% interval of HR@10 over {} people is {} to {}.",
            count(quality.cases),
            score(within.low),
            score(within.high)
        )
    });
    format!("{who}{}.{within}", figures(quality))
}

fn beside(set: &Set<'_>, best: &ShownRun) -> String {
    let mut said = format!("Popularity: {}.", figures(&set.popularity()));
    if let Some(content) = best.content() {
        said.push_str(&format!(
            " The public item features with the noisy counts alone: HR@10 {}, NDCG@10 {} among 99 others; {} and {} among all.",
            score(content.hr_at_10),
            score(content.ndcg_at_10),
            score(content.full_hr_at_10),
            score(content.full_ndcg_at_10)
        ));
    }
    match &best.central {
        Some(central) => said.push_str(&format!(
            " Learned in one place from everyone's history, in the open: {} ({}).",
            figures(&central.quality),
            central.words
        )),
        None => said.push_str(" What a model reaches that is learned in one place was left out."),
    }
    said
}

fn privacy(set: &Set<'_>, best: &ShownRun) -> String {
    if let Some((spent, delta)) = best.spent() {
        let caveat = best.caveat();
        let caveat = match caveat.is_empty() {
            true => String::new(),
            false => format!(", {caveat}"),
        };
        return format!(
            "{} for everything that one person contributes, over all {} rounds together{caveat}.",
            budget(spent, Some(delta)),
            count(best.record.rounds.len())
        );
    }
    let unbounded = "No differential privacy is claimed: noise was off.";
    let private = set.runs.iter().copied().filter(|run| run.spent().is_some());
    match best_of(private) {
        None => unbounded.to_owned(),
        Some(private) => format!(
            "{unbounded} The best run with noise is {}: HR@10 {} at {}.",
            private.called(),
            score(private.hits()),
            budget(
                private.spent().map_or(0.0, |(spent, _)| spent),
                private.spent().map(|(_, delta)| delta)
            ),
        ),
    }
}

fn cost(best: &ShownRun) -> String {
    let stayed = match best.lost() {
        (_, 0) => "Every invited client is in its sum.".to_owned(),
        (invited, lost) => format!(
            "{} of {} invitations ended without a contribution.",
            count(lost),
            count(invited)
        ),
    };
    format!(
        "Up to {} sent by a client in a round, {} by one that is in all {} of them; {} in all. {stayed}",
        bytes(best.upload()),
        bytes(best.uploads()),
        count(best.record.rounds.len()),
        seconds(best.seconds())
    )
}

/// How the figures came about.
pub(super) fn reading(sets: &[Set<'_>]) -> String {
    let central = sets.iter().any(|set| !set.central().is_empty());
    let central = match central {
        true => {
            "<p><em>In one place</em> is the model of a run's plan, or else <code>ials</code>, learned from every history in the open, with \
             nothing clipped, rounded, noised or lost: what a federation would reach if privacy and people who leave cost nothing. <code>chorus train --local</code> \
             learns it.</p>"
        }
        false => "",
    };
    format!(
        "<section><h2>How this was measured</h2>\
         <p>One item of each person was held out of training and then ranked: against its listed negatives (usually 99), and against \
         all items that the person has not touched. Ties count against the model. Compare methods by the figures among all; most papers \
         print the others. Between rounds at most as many people are asked as the run says (<code>--measured</code>), always the same; \
         the last figure of a finished run is over everyone.</p>\
         <p>Intervals are of 95\u{a0}% over the people measured: Wilson's for the figures of runs, which is rather too long than too short \
         for NDCG, and by the normal law for groups of people. They say how sure a figure is for people like these. Two runs on the \
         same people share most of that chance, so runs whose intervals overlap can differ all the same; several seeds show how \
         far runs of one setting lie apart.</p>{central}</section>"
    )
}
