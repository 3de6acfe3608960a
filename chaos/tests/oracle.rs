//! What the oracle makes of a journal.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;

use upbeat_chaos::journal::{Entry, Line};
use upbeat_chaos::oracle::Verdict;

fn verdict(entries: impl IntoIterator<Item = Entry>) -> Verdict {
    Verdict::of(entries.into_iter().zip(1u32..).map(|(entry, at)| Line { at: at.into(), entry }))
}

fn offered(number: u64) -> Entry {
    Entry::Offered { number }
}

fn accepted(number: u64) -> Entry {
    Entry::Accepted { number, id: format!("id-{number}"), poison: false }
}

fn poison(number: u64) -> Entry {
    Entry::Accepted { number, id: format!("id-{number}"), poison: true }
}

fn effect(number: u64) -> Entry {
    Entry::Effect { number, id: format!("id-{number}"), by: "consumer-1".to_owned() }
}

fn deleted(number: u64) -> Entry {
    Entry::Deleted { id: format!("id-{number}"), by: "consumer-1".to_owned() }
}

#[test]
fn what_was_accepted_and_handled_is_good_however_often_and_in_whichever_order() {
    let good = verdict([offered(1), offered(2), effect(2), accepted(1), accepted(2), effect(1), effect(1), effect(1)]);
    assert!(good.is_good());
    assert_eq!(good.to_string(), "accepted 2, handled 2, lost 0, repeated 2");
}

#[test]
fn what_was_handled_without_having_been_accepted_is_no_fault_if_it_was_posted() {
    assert!(verdict([offered(1), effect(1)]).is_good());
    let strange = verdict([effect(1)]);
    assert!(!strange.is_good());
    assert!(strange.to_string().contains("nobody has sent number 1"), "{strange}");
}

#[test]
fn as_many_repeated_as_lost_do_not_hide_the_loss() {
    let bad = verdict([offered(1), offered(2), accepted(1), accepted(2), effect(1), effect(1)]);
    assert!(!bad.is_good());
    assert_eq!(
        bad.to_string(),
        "LOST number 2, id id-2, accepted after 4.0 s, never seen again\naccepted 2, handled 1, lost 1, repeated 1"
    );
}

#[test]
fn what_a_consumer_deleted_without_an_effect_is_lost_and_the_consumer_named() {
    let bad = verdict([offered(1), accepted(1), deleted(1)]);
    assert!(
        bad.to_string().starts_with("LOST number 1, id id-1, accepted after 2.0 s, deleted by consumer-1 after 3.0 s")
    );
}

#[test]
fn what_localstack_held_is_left_out_unless_it_was_handled_all_the_same() {
    let held = |number| Entry::Held { number };
    let count = verdict([1, 2, 3].into_iter().flat_map(|n| [offered(n), accepted(n), held(n)]).chain([effect(2)]));
    assert!(count.is_good());
    assert_eq!(
        count.to_string(),
        "left out 2, which LocalStack held when it was killed: 1, 3\naccepted 1, handled 1, lost 0, repeated 0"
    );
}

#[test]
fn poison_belongs_into_the_dead_letter_queue_and_nothing_else_does() {
    let dead = |number| Entry::Dead { number };
    let good = verdict([offered(1), poison(1), dead(1)]);
    assert!(good.is_good());
    assert!(good.to_string().starts_with("poison 1, all of it in the dead-letter queue"));
    for bad in [
        verdict([offered(1), poison(1)]),
        verdict([offered(1), poison(1), effect(1)]),
        verdict([offered(1), accepted(1), dead(1)]),
    ] {
        assert_eq!(bad.lost.len(), 1, "{bad}");
    }
}

#[test]
fn a_journal_is_read_as_it_was_written_and_one_that_breaks_off_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = upbeat_chaos::journal::Journal::create(&path).unwrap();
    journal.write([offered(1), accepted(1)]);
    journal.write([effect(1), deleted(1), Entry::Strange { id: String::new(), body: "\"\n{".to_owned() }]);
    let read = Verdict::read(&path).unwrap();
    assert_eq!((read.accepted, read.handled, read.strange.len()), (1, 1, 1));
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"at\":1").unwrap();
    assert!(Verdict::read(&path).unwrap_err().to_string().contains("line 6"));
}
