use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ledger::{Entry, Ledger};
use super::{Answer, Purpose, Section};

/// What a person keeps of a decision: a consent receipt as JSON-LD, with the record of each purpose in it.
///
/// The structure is that of ISO/IEC TS 27560:2023, the words those of the W3C Data Privacy Vocabulary, as the report
/// "Consent Records and Receipts as per ISO/IEC TS 27560:2023 using DPV" (W3C DPVCG, 2024) puts them together. Every record
/// holds the SHA-256 of the notice that was shown. A person is named nowhere: records belong to a ledger.
///
/// # Privacy
/// Says what the person agreed to. It stays on the device until the person hands it to somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Receipt {
    document: Value,
    #[serde(skip)]
    at: i64,
    #[serde(skip)]
    answer: Answer,
    #[serde(skip)]
    purposes: Vec<Purpose>,
}

/// Who is responsible for what the app does. Each decision keeps who it was then, within the chain of digests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Controller {
    /// Where it can be reached: an address, a telephone number, an e-mail address.
    pub contact: String,
    /// The company's name.
    pub name: String,
}

impl Receipt {
    /// The receipts for all entries of a ledger, in their order.
    pub(crate) fn all(ledger: &Ledger) -> Vec<Self> {
        let Some(first) = ledger.entries().first() else {
            return Vec::new();
        };
        let subject = format!("urn:chorus:ledger:{}", first.digest());
        let entries = ledger.entries().iter();
        entries
            .map(|entry| Self::new(ledger, entry, &subject))
            .collect()
    }

    fn new(ledger: &Ledger, entry: &Entry, subject: &str) -> Self {
        let id = entry.digest();
        let records = entry.purposes.keys().map(|purpose| {
            // What a no ends is what the last yes before it began.
            let mut until = ledger
                .about(*purpose)
                .filter(|about| about.index <= entry.index);
            let yes = until.find(|about| about.answer == Answer::Yes);
            let section = yes.and_then(|yes| yes.purposes.get(purpose)?.as_ref());
            record(entry, subject, *purpose, section)
        });
        let document = json!({
            "@context": {
                "chorus": "urn:chorus:",
                "dct": "http://purl.org/dc/terms/",
                "dpv": "https://w3id.org/dpv#",
                "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
                "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
                "skos": "http://www.w3.org/2004/02/skos/core#",
            },
            "@id": format!("urn:chorus:receipt:{id}"),
            "@type": "dpv:ConsentReceipt",
            "dct:conformsTo": "https://w3id.org/dpv/schema/dpv-27560#receipt",
            "dct:identifier": format!("urn:chorus:receipt:{id}"),
            "dct:created": time(entry.at),
            "dct:audience": "dpv:DataSubject",
            "dpv:hasDataController": entry.controller.as_ref().map(|controller| json!({
                "@type": "dpv:DataController",
                "dpv:hasName": controller.name,
                "dpv:hasContact": controller.contact,
            })),
            "chorus:index": entry.index,
            "chorus:digest": id,
            "chorus:previous": entry.previous,
            "dpv:hasRecordOfActivity": records.collect::<Vec<_>>(),
        });
        Self {
            document,
            at: entry.at,
            answer: entry.answer,
            purposes: entry.purposes.keys().copied().collect(),
        }
    }

    /// When the decision was taken, seconds since 1970 UTC.
    pub fn at(&self) -> i64 {
        self.at
    }

    /// Whether it was a yes.
    pub fn is_yes(&self) -> bool {
        self.answer == Answer::Yes
    }

    /// To what.
    pub fn purposes(&self) -> impl Iterator<Item = Purpose> {
        self.purposes.iter().copied()
    }

    /// The document.
    pub fn json(&self) -> &Value {
        &self.document
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.document)
    }
}

/// The record of one purpose.
fn record(entry: &Entry, subject: &str, purpose: Purpose, section: Option<&Section>) -> Value {
    let id = format!("urn:chorus:consent:{}:{purpose}", entry.digest());
    let (basis, form) = match purpose {
        Purpose::Sensitive(_) => ("eu-gdpr:A9-2-a", "dpv:ExplicitlyExpressedConsent"),
        _ => ("eu-gdpr:A6-1-a", "dpv:ExpressedConsent"),
    };
    let status = match entry.answer {
        Answer::Yes => "dpv:ConsentGiven",
        Answer::No if section.is_some() => "dpv:ConsentWithdrawn",
        Answer::No => "dpv:ConsentRefused",
    };
    json!({
        "@id": id,
        "@type": "dpv:ConsentRecord",
        "dct:conformsTo": "https://w3id.org/dpv/schema/dpv-27560#record",
        "dct:identifier": id,
        "dpv:hasDataSubject": {
            "@id": subject,
            "skos:broader": "dpv:Consumer",
        },
        "dpv:hasLegalBasis": basis,
        "dpv:hasProcess": process(purpose, section),
        "dpv:hasNotice": {
            "@id": format!("urn:chorus:notice:{}", entry.notice),
            "@type": "dpv:ConsentNotice",
            "dct:hasVersion": entry.version,
            "dct:language": entry.language,
            "chorus:sha256": entry.notice,
        },
        "dpv:hasConsentControl": {
            "@type": ["dpv:ProvideConsent", "dpv:WithdrawConsent"],
            "dpv:isExercisedAt": "the switches in this app",
        },
        "dpv:hasRight": {
            "@type": ["dpv:DataSubjectRight", "eu-gdpr:A7-3"],
            "dct:title": "Right to withdraw consent",
            "dpv:isExercisedAt": "the switches in this app",
        },
        "dpv:hasConsentStatus": {
            "@type": [status, form],
            "dpv:isIndicatedBy": "dpv:DataSubject",
            "dpv:hasIndicationMethod": match &entry.by {
                Some(signal) => format!("the signal {signal}"),
                None => "a choice in this app".to_owned(),
            },
            "dpv:isIndicatedAtTime": time(entry.at),
            "dpv:hasDuration": {
                "@type": "dpv:UntilEventDuration",
                "rdf:value": "the person decides otherwise, or the notice changes",
            },
        },
    })
}

/// What is done for the purpose: as the notice that was shown has it.
fn process(purpose: Purpose, section: Option<&Section>) -> Value {
    let kept = section.map(|section| {
        json!({
            "@type": "dpv:StorageDuration",
            "dpv:hasDuration": section.retention,
        })
    });
    let place = json!({
        "@type": "dpv:StorageLocation",
        "dpv:hasLocation": "dpv:WithinDevice",
    });
    let conditions: Vec<Value> = [Some(place), kept].into_iter().flatten().collect();
    json!({
        "@type": "dpv:Process",
        "dct:title": section.map(|section| &section.title),
        "dpv:hasPurpose": {
            "@id": format!("urn:chorus:purpose:{purpose}"),
            "skos:broader": broader(purpose),
        },
        "dpv:hasPersonalData": section.map(|section| &section.fields),
        "dpv:hasRecipient": section.map(|section| &section.recipients),
        "dpv:hasStorageCondition": conditions,
    })
}

/// The nearest purpose that the vocabulary has.
fn broader(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::AggregateStatistics => "dpv:ServiceUsageAnalytics",
        Purpose::ChannelSlate => "dpv:ProvidePersonalisedRecommendations",
        Purpose::ContributeTraining => "dpv:ImproveExistingProductsAndServices",
        Purpose::CrossDeviceSync | Purpose::ThirdPartySource | Purpose::Sensitive(_) => {
            "dpv:ServicePersonalisation"
        }
        Purpose::LocalPersonalisation => "dpv:ProvidePersonalisedRecommendations",
        Purpose::PersonalisedOffers => "dpv:PersonalisedBenefits",
        Purpose::ThirdPartyShare => "dpv:PersonalisedAdvertising",
    }
}

/// ISO 8601 in UTC; a number of seconds where there is no such date.
fn time(at: i64) -> String {
    OffsetDateTime::from_unix_timestamp(at)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Decision;
    use crate::consent::Signal;
    use crate::consent::notice::tests::notice;

    fn receipts() -> Vec<Value> {
        let notice = notice(3);
        let mut ledger = Ledger::default();
        let controller = Controller {
            name: "Films Ltd".to_owned(),
            contact: "privacy@films.example".to_owned(),
        };
        for (answer, purposes) in [
            (
                Answer::Yes,
                vec![
                    Purpose::LocalPersonalisation,
                    Purpose::Sensitive(super::super::Category::Health),
                ],
            ),
            (
                Answer::No,
                vec![Purpose::LocalPersonalisation, Purpose::ContributeTraining],
            ),
        ] {
            let decision = Decision::new(answer, purposes, &notice);
            let entry = ledger
                .next(&decision, Some(&notice), 1_800_000_000)
                .unwrap();
            ledger.push(Entry {
                controller: Some(controller.clone()),
                ..entry
            });
        }
        ledger.push(
            ledger
                .object(&Signal::Gpc { on: true }, 1_800_000_001)
                .unwrap(),
        );
        let receipts = Receipt::all(&ledger);
        assert_eq!(receipts.len(), 3);
        let name =
            |receipt: &Receipt| receipt.json()["dpv:hasDataController"]["dpv:hasName"].clone();
        assert_eq!(name(&receipts[0]), "Films Ltd");
        assert_eq!(name(&receipts[2]), Value::Null, "nobody wrote it down");
        let entries = ledger.entries().iter();
        for (receipt, entry) in receipts.iter().zip(entries) {
            assert_eq!(receipt.json()["chorus:digest"], entry.digest().to_string());
            assert_eq!(
                receipt.json()["chorus:previous"],
                entry.previous.to_string()
            );
        }
        receipts
            .into_iter()
            .map(|receipt| receipt.document)
            .collect()
    }

    /// Every field that the W3C report says MUST be in a receipt and in its records, where a notice was shown.
    #[test]
    fn receipts_have_every_field_that_must_be_there() {
        let receipts = receipts();
        for receipt in &receipts {
            for field in [
                "@id",
                "@type",
                "dct:conformsTo",
                "dct:identifier",
                "dct:created",
                "dpv:hasRecordOfActivity",
            ] {
                assert!(!receipt[field].is_null(), "{field}");
            }
            assert_eq!(receipt["@type"], "dpv:ConsentReceipt");
            let used = receipt.to_string();
            for prefix in receipt["@context"].as_object().unwrap().keys() {
                assert!(
                    used.matches(&format!("\"{prefix}:")).count() > 0,
                    "{prefix} is used"
                );
            }
            for record in receipt["dpv:hasRecordOfActivity"].as_array().unwrap() {
                for field in [
                    "@id",
                    "@type",
                    "dct:identifier",
                    "dct:conformsTo",
                    "dpv:hasDataSubject",
                    "dpv:hasLegalBasis",
                    "dpv:hasProcess",
                    "dpv:hasNotice",
                    "dpv:hasConsentControl",
                    "dpv:hasRight",
                    "dpv:hasConsentStatus",
                ] {
                    assert!(!record[field].is_null(), "{field}");
                }
                for field in ["dpv:hasPurpose", "dpv:hasStorageCondition"] {
                    assert!(!record["dpv:hasProcess"][field].is_null(), "{field}");
                }
                for field in [
                    "@type",
                    "dpv:isIndicatedBy",
                    "dpv:isIndicatedAtTime",
                    "dpv:hasDuration",
                ] {
                    assert!(!record["dpv:hasConsentStatus"][field].is_null(), "{field}");
                }
            }
        }
        let record = &receipts[0]["dpv:hasRecordOfActivity"][0];
        for field in ["dpv:hasPersonalData", "dpv:hasRecipient"] {
            assert!(
                !record["dpv:hasProcess"][field]
                    .as_array()
                    .unwrap()
                    .is_empty()
            );
        }
        assert_eq!(
            record["dpv:hasNotice"]["chorus:sha256"],
            notice(3).digest().to_string()
        );
        assert_eq!(record["dpv:hasNotice"]["dct:hasVersion"], 3);
        assert_eq!(
            record["dpv:hasConsentStatus"]["dpv:isIndicatedAtTime"],
            "2027-01-15T08:00:00Z"
        );
    }

    #[test]
    fn receipts_say_given_refused_withdrawn_and_who_said_it() {
        let receipts = receipts();
        let said = |receipt: usize, record: usize| {
            let status =
                &receipts[receipt]["dpv:hasRecordOfActivity"][record]["dpv:hasConsentStatus"];
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (
                text(&status["@type"][0]),
                text(&status["@type"][1]),
                text(&status["dpv:hasIndicationMethod"]),
            )
        };
        let choice = "a choice in this app";
        for (receipt, record, status, form, how) in [
            (0, 0, "ConsentGiven", "ExpressedConsent", choice),
            (0, 1, "ConsentGiven", "ExplicitlyExpressedConsent", choice),
            (1, 0, "ConsentRefused", "ExpressedConsent", choice),
            (1, 1, "ConsentWithdrawn", "ExpressedConsent", choice),
            (2, 0, "ConsentRefused", "ExpressedConsent", "the signal gpc"),
        ] {
            let expected = (
                format!("dpv:{status}"),
                format!("dpv:{form}"),
                how.to_owned(),
            );
            assert_eq!(said(receipt, record), expected, "{receipt}, {record}");
        }
        assert_eq!(time(i64::MAX), i64::MAX.to_string());
    }
}
