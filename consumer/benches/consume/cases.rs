//! What is measured.

use std::time::Duration;

use upbeat_testkit::bench::{Case, Effort, Measured, Table, json_body};

use crate::work::Work;
use crate::{raw_loop, upbeat};

const SMALL: usize = 200;
const LARGE: usize = 64 * 1024;

/// Long enough for a client that polls too often to be seen.
const IDLE: Duration = Duration::from_millis(500);

/// More than the two requests for each ten messages: on a busy machine, some batches go before they are full.
const SPARE_REQUESTS: usize = 10;

pub(crate) fn measure_all(effort: &Effort) {
    let table = Table::new([upbeat::NAME, raw_loop::NAME], effort);
    let ms = Duration::from_millis;
    let case = |messages, size, latency, loops, time| Case {
        messages,
        body: json_body(size),
        latency,
        numbers: Work::numbers(loops, time),
        idle: Duration::ZERO,
    };
    let rows = [
        ("200 B, 8 loops", case(effort.part(1), SMALL, ms(0), 8, ms(0))),
        ("200 B, 32 loops, latency 10 ms", case(effort.part(1), SMALL, ms(10), 32, ms(0))),
        (
            "the same, deletes beside receives",
            Case { numbers: Work::deletes_beside(32), ..case(effort.part(1), SMALL, ms(10), 32, ms(0)) },
        ),
        ("200 B, 32 loops, handler 20 ms", case(effort.part(2), SMALL, ms(0), 32, ms(20))),
        ("200 B, 32 loops, latency 10 ms, handler 20 ms", case(effort.part(2), SMALL, ms(10), 32, ms(20))),
        ("64 KiB, 8 loops", case(effort.part(5), LARGE, ms(0), 8, ms(0))),
        ("64 KiB, 32 loops, latency 10 ms", case(effort.part(5), LARGE, ms(10), 32, ms(0))),
    ];
    for (title, case) in rows {
        table.measure(title, &case, check);
    }
    for watched in [upbeat::METRICS, upbeat::TRACES] {
        let table = Table::new([watched, upbeat::NAME], effort);
        table.measure("200 B, 8 loops", &case(effort.part(1), SMALL, ms(0), 8, ms(0)), check);
    }
    // Fewer than a receive asks for, so that nothing calls for a second one beside it.
    table.measure("5 messages, then idle", &Case { idle: IDLE, ..case(5, SMALL, ms(0), 8, ms(0)) }, check_idle);
}

fn check(client: &str, run: &Measured) {
    let counts = &run.counts;
    assert_eq!(
        (run.handled, counts.deleted, counts.refused),
        (run.messages, run.messages, 0),
        "{client}: all handled, and each deleted once"
    );
    assert!(counts.requests - counts.empty_receives <= run.messages / 4 + SPARE_REQUESTS, "{client}: {counts:?}");
}

fn check_idle(client: &str, run: &Measured) {
    assert_eq!((run.handled, run.idle.deleted), (run.messages, run.messages), "{client}: all handled and deleted");
    if client == upbeat::NAME {
        assert_eq!(run.idle.waiting, 1, "one open poll when idle: {:?}", run.idle);
    }
}
