//! Many messages in one transaction, each of which counts once however often it comes.
//!
//! A transaction for every message would cost a sync of the disk for each. At least once is what queues deliver, so the
//! message's id is kept with what it did, in the same transaction. `cargo run -p upbeat-consumer --example batch_into_sqlite`

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, params};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use upbeat_consumer::queue::memory::{Faults, MemoryQueue};
use upbeat_consumer::{Consumer, Message, Outcome, handler};

/// An error rolls back and is a failure of the whole batch; an outcome of one message is its own.
fn book(database: &Mutex<Connection>, messages: &[Message]) -> rusqlite::Result<Vec<Outcome>> {
    let mut database = database.lock().unwrap_or_else(PoisonError::into_inner);
    let transaction = database.transaction()?;
    let mut outcomes = Vec::with_capacity(messages.len());
    for message in messages {
        let Ok(amount) = message.body().parse::<i64>() else {
            outcomes.push(Outcome::Reject { reason: "not an amount".to_owned() });
            continue;
        };
        // Nothing happens where the id is there already: then this delivery is a repetition.
        transaction.execute("INSERT OR IGNORE INTO bookings VALUES (?1, ?2)", params![message.id(), amount])?;
        outcomes.push(Outcome::Done);
    }
    transaction.commit()?;
    Ok(outcomes)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // A queue that often delivers what it has delivered before.
    let faults = Faults { duplicates: 0.5, ..Faults::default() };
    let queue = MemoryQueue::builder("amounts").dead_letter_queue(&MemoryQueue::new("odd"), 5).faults(faults).build();
    for amount in 1..=1000 {
        queue.send(amount.to_string())?;
    }
    queue.send("a lot")?;

    let database = Connection::open_in_memory()?;
    database.execute("CREATE TABLE bookings (id TEXT PRIMARY KEY, amount INTEGER NOT NULL)", [])?;
    let database = Arc::new(Mutex::new(database));
    let shared = Arc::clone(&database);
    let handler = handler::batch(10, Duration::from_millis(50), move |messages: Vec<Message>| {
        let database = Arc::clone(&shared);
        async move {
            // SQLite blocks its thread; a panic in there is passed on.
            let booked = spawn_blocking(move || book(&database, &messages)).await;
            anyhow::Ok(booked??)
        }
    });

    let consumer = Consumer::builder(queue.clone()).handler(handler).build()?;
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));
    while !queue.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    running.await?;

    let database = database.lock().unwrap_or_else(PoisonError::into_inner);
    let sum = "SELECT count(*), sum(amount) FROM bookings";
    let (count, sum): (i64, i64) = database.query_row(sum, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    println!("{count} bookings, {sum} in all, {} rejected", queue.dead_letters().len());
    Ok(())
}
