//! Publishes the lines of a file, however long it is, with a fixed amount of memory. `cargo run --example
//! stream_from_a_file [FILE]`

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, BufReader};
use upbeat_producer::Producer;
use upbeat_producer::memory::Memory;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let written = tempfile::NamedTempFile::new()?;
    let path = if let Some(path) = std::env::args_os().nth(1) {
        PathBuf::from(path)
    } else {
        let lines: Vec<_> =
            (1..=5000).map(|n| if n == 17 { "\u{1}".to_owned() } else { format!("line {n}") }).collect();
        std::fs::write(written.path(), lines.join("\n"))?;
        written.path().to_owned()
    };
    let file = File::open(&path).await.with_context(|| format!("cannot open {}", path.display()))?;
    let lines = unfold(BufReader::new(file).lines(), async |mut lines| {
        // Reading ends with the file, and here with a line that can't be read.
        let line = lines.next_line().await.ok().flatten()?;
        Some((line, lines))
    });

    let topic = Memory::standard("messages");
    let producer = Producer::builder(topic.clone()).buffer(256 * 1024).build();
    // One outcome a line, in their order; so many lines are on their way, and no more are read meanwhile.
    let mut outcomes = pin!(producer.send_all(lines).enumerate());
    let mut published = 0;
    while let Some((position, outcome)) = outcomes.next().await {
        match outcome {
            Ok(_) => published += 1,
            Err(error) => println!("line {}: {error}", position + 1),
        }
    }
    println!("{published} lines published in {} calls", topic.calls().len());
    producer.close(Duration::from_secs(30)).await;
    Ok(())
}
