//! Long polls: what wakes them, and what becomes of them when their caller has gone.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep, timeout};

use super::super::super::{Batch, Queue, Receive};
use super::super::{Counts, Faults, MemoryQueue, NewMessage};
use super::{LEASE, bodies, delete, long_poll, make_visible_after, receive, receive_one, send_numbered};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_long_poll_ends_with_whatever_makes_a_message_visible() {
    // Sent, released, lease ended, delay ended, group unblocked: each three seconds after the poll began.
    for case in 0..5 {
        let queue = MemoryQueue::new(if case == 4 { "q.fifo" } else { "q" });
        if case == 3 {
            queue.send(NewMessage::new("a").delay(SECOND * 3)).unwrap();
        } else if case > 0 {
            queue.send(NewMessage::new("a").group("g")).unwrap();
        }
        let three = Receive { lease: SECOND * 3, ..long_poll(0) };
        let lease = if case == 2 { three } else { long_poll(0) };
        let held = queue.receive(lease).await.unwrap();
        if case == 4 {
            queue.send(NewMessage::new("b").group("g")).unwrap();
        }
        let begun = Instant::now();
        let act = async {
            sleep(SECOND * 3).await;
            match case {
                0 => drop(queue.send("a").unwrap()),
                1 => drop(make_visible_after(&queue, &held[0], Duration::ZERO).await.unwrap()),
                4 => drop(delete(&queue, &held).await.unwrap()),
                _ => {}
            }
        };
        let (received, ()) = tokio::join!(queue.receive(long_poll(20)), act);
        assert_eq!(received.unwrap().len(), 1, "case {case}");
        assert_eq!(begun.elapsed().as_secs(), 3, "case {case}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_polls_share_what_comes_and_none_of_it_twice() {
    let queue = MemoryQueue::new("q");
    let polls: Vec<_> = (0..50)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.receive(long_poll(5)).await.unwrap() })
        })
        .collect();
    sleep(SECOND).await;
    assert_eq!(queue.requests().open_polls, 50);
    send_numbered(&queue, 95);
    let mut received = Vec::new();
    for poll in polls {
        received.extend(poll.await.unwrap().into_iter().map(|r| r.payload.body().to_owned()));
    }
    received.sort_unstable();
    received.dedup();
    assert_eq!(received.len(), 95);
    assert_eq!(queue.requests().open_polls, 0);
    assert_eq!(queue.counts(), Counts { in_flight: 95, ..Counts::default() });
}

#[tokio::test(start_paused = true)]
async fn what_becomes_visible_later_wakes_one_of_the_polls_that_were_open_before_whichever_of_them_are_gone() {
    for other_ends in [true, false] {
        let queue = MemoryQueue::new("q");
        let poll = |seconds| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.receive(long_poll(seconds)).await.unwrap() })
        };
        // While three polls wait, a message is sent that can be received at 4 s.
        let (first, second, third) = (poll(20), poll(20), poll(20));
        sleep(SECOND).await;
        queue.send(NewMessage::new("a").delay(SECOND * 3)).unwrap();
        sleep(SECOND).await;
        if other_ends {
            first.abort();
            second.abort();
        }
        sleep(SECOND + SECOND / 2).await;
        assert_eq!(queue.counts(), Counts { delayed: 1, ..Counts::default() });
        sleep(SECOND).await;
        assert_eq!(queue.counts(), Counts { in_flight: 1, ..Counts::default() });
        drop(third);
    }
}

#[tokio::test(start_paused = true)]
async fn a_receive_dropped_after_the_messages_were_chosen_leaves_them_hidden_until_the_lease_ends() {
    let faults = Faults { latency: SECOND..=SECOND, ..Faults::default() };
    let queue = MemoryQueue::builder("q").faults(faults).build();
    queue.send("a").unwrap();
    assert!(timeout(SECOND * 3 / 4, receive(&queue)).await.is_err(), "half-way, the answer is under way");
    assert_eq!(queue.counts(), Counts { in_flight: 1, ..Counts::default() });
    sleep(LEASE).await;
    queue.set_faults(Faults::default());
    assert_eq!(receive_one(&queue).await.delivery.receive_count, 2);
}

#[tokio::test(start_paused = true)]
async fn a_receive_dropped_before_it_reached_the_queue_takes_nothing() {
    let faults = Faults { latency: SECOND..=SECOND, ..Faults::default() };
    let queue = MemoryQueue::builder("q").faults(faults).build();
    queue.send("a").unwrap();
    assert!(timeout(SECOND / 4, receive(&queue)).await.is_err());
    assert!(receive(&queue).now_or_never().is_none());
    assert_eq!(queue.counts(), Counts { visible: 1, ..Counts::default() });
}

#[tokio::test(start_paused = true)]
async fn a_dropped_poll_takes_nothing_unless_the_fault_says_so() {
    for (abandoned_polls, in_flight) in [(0.0, 0), (1.0, 1)] {
        let queue = MemoryQueue::builder("q").faults(Faults { abandoned_polls, ..Faults::default() }).build();
        assert!(timeout(SECOND, queue.receive(long_poll(20))).await.is_err());
        assert_eq!(queue.requests().open_polls, 0);
        sleep(SECOND).await;
        queue.send("a").unwrap();
        queue.send("b").unwrap();
        assert_eq!(queue.counts(), Counts { visible: 2 - in_flight, in_flight, delayed: 0 });
        sleep(LEASE).await;
        assert_eq!(queue.counts(), Counts { visible: 2, ..Counts::default() }, "one poll takes once");
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_abandoned_poll_takes_is_hidden_from_the_moment_it_came() {
    let queue = MemoryQueue::builder("q").faults(Faults { abandoned_polls: 1.0, ..Faults::default() }).build();
    let poll = Receive { lease: SECOND * 3, ..long_poll(20) };
    assert!(timeout(SECOND, queue.receive(poll)).await.is_err());
    queue.send("a").unwrap();
    // Nobody looks meanwhile.
    sleep(SECOND * 4).await;
    assert_eq!(receive_one(&queue).await.delivery.receive_count, 2);
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_was_answered_is_not_abandoned() {
    let queue = MemoryQueue::builder("q").faults(Faults { abandoned_polls: 1.0, ..Faults::default() }).build();
    queue.send("a").unwrap();
    assert_eq!(queue.receive(long_poll(20)).await.unwrap().len(), 1);
    queue.send("b").unwrap();
    assert_eq!(bodies(&receive(&queue).await), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_poll_ends_with_its_wait() {
    let queue = MemoryQueue::builder("q").faults(Faults { abandoned_polls: 1.0, ..Faults::default() }).build();
    assert!(timeout(SECOND, queue.receive(long_poll(5))).await.is_err());
    sleep(SECOND * 4).await;
    queue.send("a").unwrap();
    assert_eq!(bodies(&receive(&queue).await), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_fifo_poll_is_won_back_by_its_attempt_id() {
    let queue = MemoryQueue::builder("q.fifo").faults(Faults { abandoned_polls: 1.0, ..Faults::default() }).build();
    let poll = Receive { attempt_id: Some("x".to_owned()), ..long_poll(20) };
    assert!(timeout(SECOND, queue.receive(poll.clone())).await.is_err());
    queue.send(NewMessage::new("a").group("g")).unwrap();
    assert!(receive(&queue).await.is_empty());
    let received = queue.receive(poll).await.unwrap();
    assert_eq!((bodies(&received), received[0].delivery.receive_count), (vec!["a"], 1));
    let done = queue.delete(Batch::from_iter([received[0].delivery.receipt.clone()])).await.unwrap();
    assert_eq!(done[0], Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_message_released_by_an_end_of_lease_goes_to_the_abandoned_poll_at_that_moment() {
    let queue = MemoryQueue::builder("q").faults(Faults { abandoned_polls: 1.0, ..Faults::default() }).build();
    queue.send("a").unwrap();
    queue.receive(Receive { lease: SECOND * 5, ..long_poll(0) }).await.unwrap();
    let poll = Receive { lease: SECOND * 3, ..long_poll(20) };
    assert!(timeout(SECOND, queue.receive(poll)).await.is_err());
    // Visible at 5 s, taken at once for 3 s, visible again at 8 s.
    sleep(SECOND * 6 + SECOND / 2).await;
    assert_eq!(queue.counts(), Counts { in_flight: 1, ..Counts::default() });
    sleep(SECOND / 2).await;
    assert_eq!(receive_one(&queue).await.delivery.receive_count, 3);
}
