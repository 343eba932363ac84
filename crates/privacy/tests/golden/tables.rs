//! Reads the golden tables: computed numbers, one header line, plain commas.

use std::collections::HashMap;

/// One row, by column name.
pub struct Row(HashMap<String, String>);

impl Row {
    pub fn text(&self, column: &str) -> &str {
        self.0
            .get(column)
            .unwrap_or_else(|| panic!("no column {column}"))
    }

    /// None for an empty cell.
    pub fn maybe(&self, column: &str) -> Option<f64> {
        (!self.text(column).is_empty()).then(|| self.number(column))
    }

    /// A list such as "[1.0, 0.5]".
    pub fn list(&self, column: &str) -> Vec<f64> {
        let inside = self.text(column).trim_matches(['[', ']']);
        inside
            .split(',')
            .map(|cell| cell.trim().parse().unwrap())
            .collect()
    }

    pub fn number(&self, column: &str) -> f64 {
        self.text(column)
            .parse()
            .unwrap_or_else(|_| panic!("{column} is {:?}", self.text(column)))
    }
}

/// The cells of a line: plain commas, but a list stands in quotes.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            _ => cells.last_mut().unwrap().push(letter),
        }
    }
    cells
}

pub fn rows(table: &str) -> Vec<Row> {
    let path = format!(
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/dp/{}.csv"),
        table
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut lines = text.lines();
    let header = cells(lines.next().unwrap());
    let row = |line: &str| {
        Row(header
            .iter()
            .map(|name| name.to_string())
            .zip(cells(line))
            .collect())
    };
    lines.map(row).collect()
}

/// Panics unless `found` is within `relative` of `expected`.
pub fn close(found: f64, expected: f64, relative: f64, what: &str) {
    let error = (found - expected).abs();
    assert!(
        error <= relative * expected.abs(),
        "{what}: found {found:e}, expected {expected:e}"
    );
}
