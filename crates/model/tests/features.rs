//! Tables of public item features: what is read, and what is refused with a sentence.
#![allow(clippy::unwrap_used)]

use chorus_model::{FeaturesError, ItemFeatures};

fn complaint(text: &str) -> String {
    ItemFeatures::from_csv(text).unwrap_err().to_string()
}

#[test]
fn tables_are_read_as_they_are_written() {
    let text = "item,feature,weight\n0,comedy,1\n0,old,0.25\n\n7,comedy,-2.5\n";
    let features = ItemFeatures::from_csv(text).unwrap();
    assert_eq!(features.names(), ["comedy", "old"]);
    assert_eq!(
        features.entries(),
        [(0, 0, 1.0), (0, 1, 0.25), (7, 0, -2.5)]
    );
    assert_eq!(features.items(), 8);
    assert_eq!(
        ItemFeatures::from_csv(&features.to_csv()).unwrap(),
        features
    );
    let json = serde_json::to_string(&features).unwrap();
    assert_eq!(
        serde_json::from_str::<ItemFeatures>(&json).unwrap(),
        features
    );
}

#[test]
fn lines_that_are_no_entries_are_named() {
    assert!(complaint("0,comedy,1\n").starts_with("line 1 of the features: expected the header"));
    for line in [
        "comedy,1",
        "x,comedy,1",
        "0,,1",
        "0,comedy,much",
        "-1,comedy,1",
        "0,a,1,2",
    ] {
        let text = format!("item,feature,weight\n1,comedy,1\n{line}\n");
        assert!(
            complaint(&text).starts_with("line 3 of the features: expected an item number"),
            "{line}"
        );
    }
    for weight in ["NaN", "inf", "1001"] {
        let text = format!("item,feature,weight\n4,comedy,{weight}\n");
        assert!(
            complaint(&text).starts_with("the entry of item 4 is not a weight"),
            "{weight}"
        );
    }
    assert!(complaint("item,feature,weight\n3,old,0\n4,old,0.0\n").contains("every weight is 0"));
    assert!(ItemFeatures::from_csv("item,feature,weight\n3,old,0\n4,old,1\n").is_ok());
    assert!(
        complaint("item,feature,weight\n3,old,1\n3,old,2\n")
            .starts_with("item 3 has the feature `old` twice")
    );
}

#[test]
fn sizes_are_bounded() {
    assert!(matches!(
        ItemFeatures::from_csv("item,feature,weight\n"),
        Err(FeaturesError::Size { entries: 0, .. })
    ));
    let names = vec![String::new(); 4097];
    assert!(matches!(
        ItemFeatures::new(names, vec![(0, 0, 1.0)]),
        Err(FeaturesError::Size { names: 4097, .. })
    ));
    assert_eq!(
        ItemFeatures::new(vec!["a".to_owned()], vec![(2, 1, 1.0)]),
        Err(FeaturesError::Entry { item: 2 })
    );
    let stored = r#"{"names": ["a"], "entries": [[0, 0, 1.0], [0, 0, 2.0]]}"#;
    assert!(
        serde_json::from_str::<ItemFeatures>(stored)
            .unwrap_err()
            .to_string()
            .contains("twice")
    );
}
