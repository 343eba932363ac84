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
