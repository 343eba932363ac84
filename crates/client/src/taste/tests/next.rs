use super::*;

fn euros(amount: u64) -> Price {
    Price {
        amount,
        currency: Currency::new("EUR").unwrap(),
    }
}

#[test]
fn what_goes_with_a_basket_is_like_it() {
    let (model, taste) = (model(), person(&[30]));
    let goes = |basket: &[u32]| {
        let basket: Vec<ItemId> = basket.iter().copied().map(ItemId).collect();
        ids(&taste.goes_with(&model, &basket, 5, &shop(), &Everything))
    };
    assert_eq!(of_topic(&goes(&[12, 15]), 1), 5);
    assert_eq!(of_topic(&goes(&[5]), 0), 5);
    assert!(!goes(&[12, 15]).contains(&12));
    assert!(goes(&[]).is_empty());
    assert!(goes(&[4_000]).is_empty());
}

#[test]
fn what_is_bought_again_and_again_is_due_again() {
    let mut taste = person(&[]);
    let mut buy = |item: u32, days: &[i64]| {
        let mut record = ItemRecord::new(ItemId(item));
        for day in days {
            let event = Event {
                kind: EventKind::Purchase,
                ..Event::click(ItemId(item), day * DAY)
            };
            record.add(Touch::new(&event, None, &Context::default(), NOW));
        }
        // Folding leaves the days.
        record.fold(|_, _| item.is_multiple_of(2), 0);
        taste.records.push(record);
    };
    buy(2, &[100, 110, 120, 150]);
    buy(3, &[130, 137, 144]);
    buy(4, &[100, 150]);
    buy(5, &[1, 2, 3]);
    buy(22, &[100, 110, 120, 150]);
    let needs = |today| taste.needs(today, &shop());
    let need = |item, every, since| Need {
        item: ItemId(item),
        every,
        since,
    };
    assert_eq!(needs(157), [need(3, 7, 13)]);
    assert_eq!(needs(158), [need(3, 7, 14), need(2, 10, 8)]);
    assert_eq!(needs(170), [need(2, 10, 20)]);
    assert_eq!(needs(180), []);
    taste.granted.clear();
    assert_eq!(taste.needs(158, &shop()), []);
}

#[test]
fn groups_follow_their_rules_and_the_person_has_the_last_word() {
    let rules = r#"
[[group]]
name = "listeners"
title = { en = "You like music", de = "Du magst Musik" }
all = [{ topic = "music", least = 2, days = 30 }]

[[group]]
name = "parents"
title = { en = "Parents", de = "Eltern" }
all = [{ topic = "baby", least = 1, days = 30 }]

[[group]]
name = "nobody"
title = { en = "Nobody", de = "Niemand" }
all = []
"#;
    let rules = Groups::from_toml(rules).unwrap();
    let mut taste = person(&[10, 11, 20]);
    taste
        .granted
        .insert(Purpose::Sensitive(Category::PregnancyAndFamily));
    let today = NOW.div_euclid(DAY);
    assert_eq!(taste.groups(&rules, today, &shop()), ["listeners"]);
    assert_eq!(taste.groups(&rules, today + 40, &shop()), [""; 0]);
    choose(
        &mut taste,
        Subject::Group("listeners".to_owned()),
        Choice::Out,
    );
    assert_eq!(taste.groups(&rules, today, &shop()), [""; 0]);
    choose(&mut taste, Subject::Group("nobody".to_owned()), Choice::In);
    assert_eq!(
        taste.groups(&rules, today, &shop()),
        ["listeners", "nobody"]
    );
    let error = Groups::from_toml("[[group]]\nname = 3\n").map(drop);
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("the rules cannot be read") && error.contains("line"),
        "{error}"
    );
}

#[test]
fn offers_fit_name_their_reason_and_know_nothing_sensitive() {
    let model = model();
    let offers: Vec<Offer> = [12, 32, 22]
        .map(|item| Offer::new(ItemId(item), euros(900), euros(700), "for members").unwrap())
        .into();
    let mut taste = person(&[10, 11]);
    let shown = |taste: &Taste| taste.offers(&model, &offers, 2, &shop()).unwrap();
    assert!(shown(&taste).is_empty(), "not granted");
    taste.granted.insert(Purpose::PersonalisedOffers);
    let both = shown(&taste);
    assert_eq!(both[0].offer, offers[0]);
    assert_eq!(both[0].because, [ItemId(10), ItemId(11)]);
    assert_eq!(both[1].offer, offers[1]);
    // Whatever was granted, and whatever sensitive is in the history: the same offers for the same reasons.
    let mut other = person(&[20, 10, 21, 11, 22]);
    for purpose in Purpose::all() {
        other.granted.insert(purpose);
    }
    assert_eq!(shown(&other), both);
}
