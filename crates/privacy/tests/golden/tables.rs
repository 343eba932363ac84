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

    pub fn number(&self, column: &str) -> f64 {
        self.text(column)
            .parse()
            .unwrap_or_else(|_| panic!("{column} is {:?}", self.text(column)))
    }
}

pub fn rows(table: &str) -> Vec<Row> {
    let path = format!(
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/dp/{}.csv"),
        table
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let row = |line: &str| {
        Row(header
            .iter()
            .map(|name| name.to_string())
            .zip(line.split(',').map(str::to_owned))
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
