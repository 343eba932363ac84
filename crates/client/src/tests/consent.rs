//! What a person decided, in the store and on the way out.

use super::*;

/// A new client keeps nothing and sends nothing, whatever the app does, until somebody says yes.
#[tokio::test]
async fn a_fresh_install_keeps_and_sends_nothing() {
    let (_coordinator, mut members) = federation(10, false);
    let way = &mut members[0].seat;
    let home = tempfile::tempdir().unwrap();
    let mut client = open(home.path(), settings());
    let events = (0..10_000).map(|item| crate::Event::click(ItemId(item), NOW));
    let imported = client.record_all(events.clone(), NOW).unwrap();
    assert_eq!((imported.added, imported.not_granted), (0, 10_000));
    assert!(
        client
            .store
            .all::<crate::taste::ItemRecord>()
            .unwrap()
            .is_empty()
    );
    let refused = client.check_in(way, &films()).await;
    assert!(matches!(
        refused,
        Err(Error::NotGranted {
            purpose: Purpose::ContributeTraining
        })
    ));
    let refused = client.refresh(way, &films()).await;
    assert!(matches!(
        refused,
        Err(Error::NotGranted {
            purpose: Purpose::LocalPersonalisation
        })
    ));
    assert_eq!(way.calls(), 0);
    assert!(
        client
            .consents(NOW)
            .unwrap()
            .iter()
            .all(|consent| consent.state == crate::State::Off)
    );
    // The control.
    decide(&mut client, Answer::Yes, [Purpose::LocalPersonalisation]);
    assert_eq!(client.record_all(events.take(10), NOW).unwrap().added, 10);
    assert!(client.refresh(way, &films()).await.is_ok());
    assert!(way.calls() > 0);
    assert!(client.check_in(way, &films()).await.is_err());
}

/// The same one call in and out; a switch on another thread is seen at once, and so is a signal.
#[test]
fn decisions_signals_and_switches_meet_in_one_ledger() {
    let home = tempfile::tempdir().unwrap();
    let mut client = open(home.path(), settings());
    let purpose = Purpose::ThirdPartyShare;
    let mut switch = client.switch().unwrap();
    for answer in [Answer::Yes, Answer::No, Answer::Yes] {
        decide(&mut client, answer, [purpose]);
        assert_eq!(client.granted(&purpose).unwrap(), answer == Answer::Yes);
    }
    let no = crate::Decision::new(Answer::No, [purpose], client.notice("en").unwrap());
    std::thread::scope(|scope| {
        scope
            .spawn(|| switch.decide(&no, NOW).unwrap())
            .join()
            .unwrap()
    });
    assert!(!client.granted(&purpose).unwrap());
    decide(&mut client, Answer::Yes, [purpose]);
    let signal = crate::Signal::Gpc { on: true };
    client.signal(&signal, NOW).unwrap();
    client.signal(&signal, NOW + 1).unwrap();
    assert!(!client.granted(&purpose).unwrap());
    assert!(client.signals().unwrap()[0].denied.contains(&purpose));
    assert_eq!(client.receipts().unwrap().len(), 6);
    let client = open(home.path(), settings());
    assert!(!client.granted(&purpose).unwrap());
    assert_eq!(client.receipts().unwrap().len(), 6);
}

/// Who was responsible when a person decided stays on the receipt, whoever is later, and on none that was changed.
#[test]
fn a_receipt_keeps_who_was_responsible_and_a_changed_one_is_none() {
    let home = tempfile::tempdir().unwrap();
    let of = |name: &str| {
        let mut settings = settings();
        settings.controller.name = name.to_owned();
        open(home.path(), settings)
    };
    let mut client = of("Films Ltd");
    decide(&mut client, Answer::Yes, [Purpose::LocalPersonalisation]);
    let kept = client.receipts().unwrap()[0].json().clone();
    drop(client);
    let mut client = of("Sold Ltd");
    client
        .signal(&crate::Signal::Gpc { on: true }, NOW)
        .unwrap();
    let names = client.receipts().unwrap();
    let names = names
        .iter()
        .map(|receipt| &receipt.json()["dpv:hasDataController"]["dpv:hasName"]);
    assert_eq!(names.collect::<Vec<_>>(), ["Films Ltd", "Sold Ltd"]);
    assert!(client.gave(&kept).unwrap());
    let mut changed = kept;
    changed["dpv:hasDataController"]["dpv:hasName"] = "Sold Ltd".into();
    assert!(!client.gave(&changed).unwrap());
    // In the store it cannot be changed either.
    let mut entries: Vec<crate::consent::Entry> = client.store.all().unwrap();
    entries[0].controller = None;
    client.store.write(|batch| batch.put(&entries[0])).unwrap();
    assert!(matches!(client.receipts(), Err(Error::Ledger { .. })));
}

/// A withdrawal in another place while events are on their way in: none of them is kept.
#[test]
fn what_is_withdrawn_while_events_come_in_is_not_kept() {
    let purpose = Purpose::LocalPersonalisation;
    for withdraws in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let mut client = open(home.path(), settings());
        decide(&mut client, Answer::Yes, [purpose]);
        let mut elsewhere = open(home.path(), settings());
        // It was allowed when the call began.
        assert!(client.granted(&purpose).unwrap());
        let events = (0..10).map(|item| {
            if item == 9 && withdraws {
                decide(&mut elsewhere, Answer::No, [purpose]);
            }
            crate::Event::click(ItemId(item), NOW)
        });
        let imported = client.record_all(events, NOW).unwrap();
        let kept = if withdraws { 0 } else { 10 };
        assert_eq!((imported.added, imported.not_granted), (kept, 10 - kept));
        assert_eq!(client.count_events().unwrap(), kept as u64);
    }
}

/// One thread keeps whatever an app can keep, another one withdraws: once that returned, nothing more comes in.
#[test]
fn nothing_of_a_person_is_written_after_a_withdrawal_returned() {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
    let home = tempfile::tempdir().unwrap();
    let mut client = open(home.path(), settings());
    decide(&mut client, Answer::Yes, [Purpose::LocalPersonalisation]);
    let mut switch = client.switch().unwrap();
    let mut decide = |answer| {
        let notice = switch.notice("en").unwrap();
        let decision = crate::Decision::new(answer, [Purpose::LocalPersonalisation], notice);
        switch.decide(&decision, NOW).unwrap();
    };
    let other = client.store.second().unwrap();
    let stored = || {
        let all = other.everything().unwrap().into_iter();
        let personal = ["item", "person", "control", "shown"];
        all.filter(|record| personal.contains(&record.0.name()))
            .map(|(_, key, value, _)| (key, value.to_string()))
            .collect::<Vec<_>>()
    };
    let (calls, done) = (AtomicU32::new(0), AtomicBool::new(false));
    let wait = || {
        let before = calls.load(SeqCst);
        while calls.load(SeqCst) < before + 2 {
            std::thread::yield_now();
        }
    };
    // It ends with the test, also with one that fails.
    struct Ends<'a>(&'a AtomicBool);
    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(SeqCst) {
                let count = calls.fetch_add(1, SeqCst);
                let item = ItemId(count);
                client.record(crate::Event::click(item, NOW), NOW).unwrap();
                client.shown(&[item], NOW).unwrap();
                let what = crate::Subject::Item(item);
                let choice = crate::Choice::Pin;
                client.choose(&crate::Control { what, choice }).unwrap();
                let ages = [crate::AgeBand::From18, crate::AgeBand::From30];
                let age = Some(ages[count as usize % 2]);
                let person = crate::Person { age, region: None };
                client.set_person(&person).unwrap();
                // SQLite's lock has no queue: whoever asks for it without a pause keeps others waiting.
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let _ends = Ends(&done);
        for _ in 0..20 {
            // The control: something comes in while it is granted.
            let before = stored();
            wait();
            assert_ne!(stored(), before);
            decide(Answer::No);
            let before = stored();
            wait();
            assert!(stored() == before, "kept after the withdrawal returned");
            decide(Answer::Yes);
        }
    });
}

/// The app comes with a notice that says something else than the one that was agreed to: what it touches rests until the person read
/// the difference and said yes again.
#[tokio::test]
async fn a_changed_notice_suspends_what_it_touches_until_a_new_yes() {
    let (_coordinator, mut members) = federation(10, false);
    let Member {
        home, client, seat, ..
    } = &mut members[0];
    client.check_in(seat, &films()).await.unwrap();
    // What the person once read of just this purpose was another sentence.
    let purpose = Purpose::ContributeTraining;
    let current = client.notice("en").unwrap();
    let mut older = current.clone();
    older.version -= 1;
    older.sections.get_mut(&purpose).unwrap().cost = "It costs nothing.".to_owned();
    let ledger = crate::consent::Ledger::read(client.store.all().unwrap()).unwrap();
    let yes = crate::Decision::new(Answer::Yes, [purpose], &older);
    let entry = ledger.next(&yes, Some(&older), NOW).unwrap();
    client.store.write(|batch| batch.put(&entry)).unwrap();
    *client = open(home.path(), settings());

    let of = |client: &Client| {
        let all = client.consents(NOW).unwrap().into_iter();
        all.map(|consent| (consent.purpose, consent))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let consents = of(client);
    assert_eq!(consents[&purpose].state, crate::State::Pending);
    assert!(consents[&purpose].may_ask);
    let [change] = consents[&purpose].changes.as_slice() else {
        panic!("one sentence changed");
    };
    assert_eq!(change.what, "cost");
    assert!(change.before.contains("It costs nothing."));
    assert!(change.now.contains(&current.sections[&purpose].cost));
    // What it does not touch goes on.
    let local = Purpose::LocalPersonalisation;
    assert_eq!(consents[&local].state, crate::State::Granted);
    let calls = seat.calls();
    let refused = client.check_in(seat, &films()).await;
    assert!(matches!(refused, Err(Error::NotGranted { purpose: missing }) if missing == purpose));
    assert_eq!(seat.calls(), calls);
    client.refresh(seat, &films()).await.unwrap();
    // A yes to the old words is none.
    let refused = client.decide(&yes, NOW);
    assert!(matches!(
        refused,
        Err(Error::Decision(crate::DecisionError::OtherNotice))
    ));
    decide(client, Answer::Yes, [purpose]);
    assert_eq!(of(client)[&purpose].state, crate::State::Granted);
    client.check_in(seat, &films()).await.unwrap();
}

/// All 256 sets of the purposes that are no sensitive category, one switch at a time: what can be seen of each in the store and at the
/// door depends on its own purposes alone.
#[tokio::test]
async fn every_set_of_purposes_does_what_it_says_and_nothing_else() {
    use Purpose::*;
    let (_coordinator, mut members) = federation(10, false);
    let Member { client, seat, .. } = &mut members[0];
    decide(client, Answer::No, Purpose::all());
    let plain: Vec<Purpose> = Purpose::all()
        .filter(|purpose| !matches!(purpose, Sensitive(_)))
        .collect();
    assert_eq!(plain.len(), 8);
    // How much there is of each kind.
    let stored = |client: &Client| {
        let shown = client.store.all::<crate::taste::Shown>().unwrap();
        let is_known = client.person().unwrap().region.is_some();
        [
            client.items().unwrap().len(),
            client.choices().unwrap().len(),
            shown.len(),
            usize::from(is_known),
        ]
    };
    let mut granted = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for step in 0u32..256 {
        // Gray's order: from one set to the next, one purpose changes.
        if step > 0 {
            let purpose = plain[step.trailing_zeros() as usize];
            let answer = match granted.insert(purpose) {
                true => Answer::Yes,
                false => Answer::No,
            };
            if answer == Answer::No {
                granted.remove(&purpose);
            }
            decide(client, answer, [purpose]);
        }
        assert!(seen.insert(granted.clone()));
        let has = |purpose| granted.contains(&purpose);
        let local = has(LocalPersonalisation);
        client.reset_profile().unwrap();
        // Each of these leaves something new in the store exactly where it may.
        type Write = fn(&mut Client, u32);
        let writes: [(&str, bool, Write); 5] = [
            ("first-party", local, |client, step| {
                let own = crate::Event::click(ItemId(step % 24), NOW);
                client.record(own, NOW).unwrap();
            }),
            (
                "third-party",
                local && has(ThirdPartySource),
                |client, step| {
                    let others = crate::Event {
                        source: crate::Source::ThirdParty,
                        ..crate::Event::click(ItemId(2_000 + step), NOW)
                    };
                    client.record(others, NOW).unwrap();
                },
            ),
            ("shown", local, |client, step| {
                client.shown(&[ItemId(step)], NOW).unwrap()
            }),
            ("choice", local, |client, step| {
                let (what, choice) = (crate::Subject::Item(ItemId(step)), crate::Choice::Hide);
                client.choose(&crate::Control { what, choice }).unwrap();
            }),
            ("person", local, |client, _| {
                let region = crate::Region::code("DE").unwrap();
                let person = crate::Person {
                    age: None,
                    region: Some(region),
                };
                client.set_person(&person).unwrap();
            }),
        ];
        for (name, may, write) in writes {
            let before = stored(client);
            write(client, step);
            let after = stored(client);
            assert_eq!(after != before, may, "{name} with {granted:?}");
        }
        let contributes = has(ContributeTraining);
        let calls = seat.calls();
        assert_eq!(client.check_in(seat, &films()).await.is_ok(), contributes);
        assert_eq!(seat.calls() > calls, contributes, "{granted:?}");
        let calls = seat.calls();
        assert_eq!(
            client.refresh(seat, &films()).await.is_ok(),
            contributes || local
        );
        assert_eq!(seat.calls() > calls, contributes || local, "{granted:?}");
        let evaluate = crate::consent::Leave::Evaluate;
        let request = Request::FetchLog { from: 0 };
        let calls = seat.calls();
        let asked = client.ask(seat, evaluate, &request).await;
        let may = contributes && has(AggregateStatistics);
        assert_eq!(
            (asked.is_ok(), seat.calls() > calls),
            (may, may),
            "{granted:?}"
        );
        // What was learned from it is there only while it is granted.
        assert_eq!(client.history(ITEMS).unwrap().is_empty(), !local);
    }
}
