use std::collections::BTreeSet;

use super::{DataMap, FieldMap, Language, PurposeMap, RecordMap};
use crate::consent::{Notice, Section};

/// Raised with every change of the data map that changes what a notice says.
const VERSION: u32 = 4;

impl DataMap {
    /// What a person reads before they decide, made of this map: one section for each purpose, with each field that it uses.
    pub fn notice(&self, language: Language) -> Notice {
        let section = |purpose: &PurposeMap| {
            let records = self.records.iter();
            let used: Vec<&RecordMap> = records
                .filter(|record| {
                    record.purposes.contains(&purpose.name)
                        || purpose.extends.contains(&record.name)
                })
                .collect();
            let fields = used.iter().flat_map(|record| {
                let line = |field: &FieldMap| line(record, field, language);
                record.fields.iter().map(line).collect::<Vec<_>>()
            });
            let section = Section {
                benefit: said(&purpose.benefit, language),
                cost: said(&purpose.cost, language),
                fields: fields.collect(),
                recipients: said::<Vec<String>>(&purpose.recipients, language)
                    .into_iter()
                    .collect::<BTreeSet<_>>(),
                retention: retention(used.iter().map(|record| record.days).max(), language),
                title: said(&purpose.title, language),
            };
            (purpose.name, section)
        };
        Notice {
            language: language.code().to_owned(),
            sections: self.purposes.iter().map(section).collect(),
            version: VERSION,
        }
    }
}

pub(crate) fn said<T: Clone + Default>(
    text: &std::collections::BTreeMap<Language, T>,
    language: Language,
) -> T {
    text.get(&language).cloned().unwrap_or_default()
}

/// What the field is, and how long it is kept where that is less than its record.
fn line(record: &RecordMap, field: &FieldMap, language: Language) -> String {
    let (of, what) = (said(&record.text, language), said(&field.text, language));
    let days = field.days.filter(|days| *days < record.days);
    match days {
        Some(days) => format!("{of} {what} {}", retention(Some(days), language)),
        None => format!("{of} {what}"),
    }
}

/// `days`: the longest of what is kept; 0 without an end, nothing where nothing is kept.
pub(crate) fn retention(days: Option<u32>, language: Language) -> String {
    match (days, language) {
        (None, Language::English) => "Nothing more is kept.".to_owned(),
        (None, Language::German) => "Es wird nichts weiter behalten.".to_owned(),
        (Some(0), Language::English) => "Until you erase it.".to_owned(),
        (Some(0), Language::German) => "Bis du es löschst.".to_owned(),
        (Some(days), Language::English) => format!("At most {days} days."),
        (Some(days), Language::German) => format!("Höchstens {days} Tage."),
    }
}
