//! How many messages a second a spool accepts, beside what the same disk does without one.
//!
//! The absolute numbers are this disk's; what tells something is how they relate to each other.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a bench")]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use upbeat_producer::memory::{Faults, Memory};
use upbeat_producer::{Fault, Producer, Spool, spool};

const BODY: usize = 200;
const FOR: Duration = Duration::from_secs(5);

fn main() {
    // Where a spool would be; a folder in memory has no fsync to speak of.
    let folder =
        std::env::var_os("SPOOL_BENCH").map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), std::path::PathBuf::from);
    let folder = tempfile::tempdir_in(folder).unwrap();
    let fsync = fsync(folder.path());
    println!("the disk alone: {fsync:.0} fsyncs a second of {BODY} bytes each");
    for senders in [1, 100, 1000, 10_000] {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let path = folder.path().join(senders.to_string());
        let rate = runtime.block_on(accept(&path, senders));
        println!(
            "{senders:>6} senders: {rate:.0} messages accepted a second, {:.1} for each fsync of the disk alone",
            rate / fsync
        );
    }
}

fn fsync(folder: &Path) -> f64 {
    let mut file = File::create(folder.join("fsync")).unwrap();
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < FOR {
        file.write_all(&[b'x'; BODY]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

/// Each sender sends its next message once the one before is on the disk.
async fn accept(folder: &Path, senders: usize) -> f64 {
    let down = Memory::standard("messages").faults(|_| Faults::call(Fault::unavailable("down")));
    let producer = Producer::builder(down).spool(Spool::open(folder, 16 * spool::LIMIT).unwrap()).build();
    let start = Instant::now();
    let senders: Vec<_> = (0..senders)
        .map(|_| {
            let producer = producer.clone();
            tokio::spawn(async move {
                let mut accepted = 0_u64;
                while start.elapsed() < FOR {
                    producer.send("x".repeat(BODY)).await.unwrap();
                    accepted += 1;
                }
                accepted
            })
        })
        .collect();
    let mut accepted = 0;
    for sender in senders {
        accepted += sender.await.unwrap();
    }
    let rate = accepted as f64 / start.elapsed().as_secs_f64();
    assert_eq!(producer.close(Duration::from_secs(30)).await.spooled, accepted);
    rate
}
