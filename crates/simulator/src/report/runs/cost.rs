//! What the runs took: bytes, seconds, and who left on the way.

use super::{Set, ShownRun};
use crate::RoundRow;
use crate::report::bars::{self, Bar};
use crate::report::charts::{PARTS, cohorts, parts};
use crate::report::columns::{self, Column};
use crate::report::lines::Size;
use crate::report::tables;
use crate::report::text::{bytes, count, escape, percent, seconds};

const HALF: Size = Size {
    width: 400.0,
    height: 236.0,
};

pub(super) fn section(set: &Set<'_>) -> String {
    match set.drawn.as_slice() {
        [] => String::new(),
        [run] => of_one(set, run),
        runs => of_several(set, runs),
    }
}

/// Round by round.
fn of_one(set: &Set<'_>, run: &ShownRun) -> String {
    let rows = &run.record.rounds;
    let columns = |value: fn(&RoundRow) -> f64, write: &dyn Fn(f64) -> String| -> Vec<Column> {
        let column = |row: &RoundRow| Column {
            name: row.name.clone(),
            parts: vec![(value(row), write(value(row)))],
            label: write(value(row)),
        };
        rows.iter().map(column).collect()
    };
    let sent = |value: f64| bytes(value as u64);
    let uploads = format!(
        "Up to {} in a round; a client that is in every round sends {}.",
        bytes(run.upload()),
        bytes(run.uploads())
    );
    let took = format!(
        "{} in all on the machine that ran it.",
        seconds(run.seconds())
    );
    let draw = |columns: &[Column], unit, write: &dyn Fn(f64) -> String, name, text: &str| {
        columns::chart(columns, &["fill"], unit, write, HALF, name, text)
    };
    let sizes = draw(
        &columns(|row| row.upload_bytes as f64, &sent),
        "upload of one client",
        &sent,
        "Bytes that one client uploads in each round",
        &uploads,
    );
    let times = draw(
        &columns(|row| row.seconds, &|value| seconds(value)),
        "seconds of a round",
        &|value| crate::report::text::plain(value),
        "Seconds that each round took",
        &took,
    );
    format!(
        "<section>{}<div class=\"pair\"><figure><h3>Bytes sent</h3>{sizes}<figcaption>{uploads}</figcaption></figure>\
         <figure><h3>Time</h3>{times}<figcaption>{took}</figcaption></figure></div>{}</section>{}",
        set.heading("What it took"),
        tables::cost(rows),
        cohorts(&set.heading("Who took part"), rows)
    )
}

/// Run by run.
fn of_several(set: &Set<'_>, runs: &[&ShownRun]) -> String {
    let bars = |value: fn(&ShownRun) -> f64, write: &dyn Fn(f64) -> String| -> Vec<Bar> {
        let bar = |run: &&ShownRun| Bar {
            name: run.name.clone(),
            parts: vec![(value(run), write(value(run)))],
            label: write(value(run)),
        };
        runs.iter().map(bar).collect()
    };
    let sent = |value: f64| bytes(value as u64);
    let sizes = bars(|run| run.uploads() as f64, &sent);
    let times = bars(ShownRun::seconds, &|value| seconds(value));
    let draw = |bars: &[Bar], name| bars::chart(bars, &["fill"], HALF.width, name);
    let funnel: Vec<Bar> = runs.iter().map(|run| funnel(run)).collect();
    let classes = PARTS.map(|(class, _)| class);
    let wide = |width| bars::chart(&funnel, &classes, width, "Invitations by how far they came");
    let drawn = match runs.iter().any(|run| run.lost().1 > 0) {
        true => format!(
            "<figure><div class=\"wide\">{}</div><div class=\"narrow\">{}</div>{}<figcaption>All invitations of a run, by how far they came. \
             Masks that were already agreed on are taken off without those who left.</figcaption></figure>",
            wide(880.0),
            wide(400.0),
            legend(runs)
        ),
        false => "<p>Every invited client is in its sum.</p>".to_owned(),
    };
    format!(
        "<section>{}<div class=\"pair\"><figure><h3>Sent by a client that is in every round</h3>{}</figure>\
         <figure><h3>Time in all</h3>{}</figure></div>\
         <figcaption>Bytes are exact. Seconds are of the machine that ran it, whatever else it did.</figcaption></section>\
         <section>{}{drawn}{}</section>",
        set.heading("What it took"),
        draw(&sizes, "Bytes that a client sends that is in every round"),
        draw(&times, "Seconds in all"),
        set.heading("Who took part"),
        table(runs)
    )
}

fn totals(run: &ShownRun) -> [usize; 5] {
    let mut totals = [0; 5];
    for row in &run.record.rounds {
        let parts = totals.iter_mut().zip(parts(row));
        parts.for_each(|(total, part)| *total += part);
    }
    totals
}

fn funnel(run: &ShownRun) -> Bar {
    let totals = totals(run);
    let invited = totals.iter().sum::<usize>().max(1) as f64;
    let parts = totals.iter().zip(PARTS).map(|(clients, (_, what))| {
        let share = *clients as f64 / invited;
        (
            share,
            format!("{} {what}, {}", count(*clients), percent(share)),
        )
    });
    let (_, lost) = run.lost();
    Bar {
        name: run.name.clone(),
        parts: parts.collect(),
        label: match lost {
            0 => "nobody left".to_owned(),
            lost => format!("{} left", percent(lost as f64 / invited)),
        },
    }
}

fn legend(runs: &[&ShownRun]) -> String {
    let mut all = [0; 5];
    for run in runs {
        all.iter_mut()
            .zip(totals(run))
            .for_each(|(all, total)| *all += total);
    }
    let entries = PARTS.iter().zip(all).filter(|(_, total)| *total > 0);
    let entry = |((class, what), _): (&(&str, &str), usize)| {
        format!(
            "<li><svg viewBox=\"0 0 14 14\" aria-hidden=\"true\"><rect class=\"{class}\" width=\"14\" height=\"14\"/></svg>{what}</li>"
        )
    };
    format!(
        "<ul class=\"key\">{}</ul>",
        entries.map(entry).collect::<String>()
    )
}

fn table(runs: &[&ShownRun]) -> String {
    let heads: String = PARTS
        .iter()
        .map(|(_, what)| format!("<th scope=\"col\">{what}</th>"))
        .collect();
    let open = match runs.iter().any(|run| run.lost().1 > 0) {
        true => " open",
        false => "",
    };
    let row = |run: &&ShownRun| {
        let cells: String = totals(run)
            .iter()
            .map(|total| format!("<td>{}</td>", count(*total)))
            .collect();
        let helped: usize = run
            .record
            .rounds
            .iter()
            .map(|row| row.funnel.unmasked)
            .sum();
        let cut: usize = run.record.rounds.iter().map(|row| row.clipped).sum();
        format!(
            "<tr><th scope=\"row\">{}</th>{cells}<td>{}</td><td>{}</td></tr>",
            escape(&run.name),
            count(helped),
            count(cut)
        )
    };
    format!(
        "<details{open}><summary>Invitations over all rounds</summary><table><thead><tr><th scope=\"col\">run</th>{heads}\
         <th scope=\"col\">helped unmask</th><th scope=\"col\">cut to the bound</th></tr></thead><tbody>{}</tbody></table></details>",
        runs.iter().map(row).collect::<String>()
    )
}
