//! The outbox: an order and its event are committed together in `SQLite`, and published at least once, however
//! often the process dies in between. `cargo run --example outbox`
//!
//! A row is marked after SNS has confirmed its event. Whoever dies between the two publishes it again; the topic, a FIFO
//! one, recognizes the repetition by the deduplication id for five minutes, and readers by the message's id for ever.

use std::time::Duration;

use rusqlite::Connection;
use upbeat_producer::memory::Memory;
use upbeat_producer::{Message, Producer};
use uuid::Uuid;

/// How many events are looked for at a time.
const AT_A_TIME: i64 = 100;

fn main() -> anyhow::Result<()> {
    let mut database = Connection::open_in_memory()?;
    database.execute_batch(
        "CREATE TABLE orders (item TEXT NOT NULL);
         CREATE TABLE outbox (number INTEGER PRIMARY KEY, id TEXT NOT NULL, body TEXT NOT NULL, published INTEGER NOT NULL DEFAULT 0);",
    )?;
    for item in ["pen", "ink", "paper"] {
        order(&mut database, item)?;
    }

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let topic = Memory::fifo("orders.fifo");
        let producer = Producer::builder(topic.clone()).default_group("orders").build();
        // The first process dies before it has marked the last event that it published.
        let marked = relay(&database, &producer, 2).await?;
        println!("published {}, marked {marked}, then died", topic.published().len());
        let marked = relay(&database, &producer, usize::MAX).await?;
        println!("the next one marked {marked}");
        println!("published in all: {}", topic.bodies().join(", "));
        producer.close(Duration::from_secs(30)).await;
        Ok(())
    })
}

/// The order and its event are there both, or neither is.
fn order(database: &mut Connection, item: &str) -> rusqlite::Result<()> {
    let transaction = database.transaction()?;
    transaction.execute("INSERT INTO orders (item) VALUES (?1)", [item])?;
    let id = Uuid::now_v7().to_string();
    transaction.execute("INSERT INTO outbox (id, body) VALUES (?1, ?2)", (id, format!("ordered {item}")))?;
    transaction.commit()
}

/// Publishes what is not marked, in order, and marks it; dies before it marks more than so many.
async fn relay(database: &Connection, producer: &Producer, dies_after: usize) -> anyhow::Result<usize> {
    let mut query =
        database.prepare("SELECT number, id, body FROM outbox WHERE NOT published ORDER BY number LIMIT ?1")?;
    let rows = query.query_map([AT_A_TIME], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut tickets = Vec::new();
    for row in rows {
        let (number, id, body): (i64, String, String) = row?;
        // The id is its deduplication id as well, unless the topic goes by content.
        tickets.push((number, producer.enqueue(Message::new(body).id(id)).await?));
    }
    let mut marked = 0;
    for (number, ticket) in tickets {
        ticket.await?;
        if marked == dies_after {
            break;
        }
        marked += database.execute("UPDATE outbox SET published = 1 WHERE number = ?1", [number])?;
    }
    Ok(marked)
}
