//! A spool in a folder of a real disk.

use upbeat_producer::memory::Memory;
use upbeat_producer::spool::{self, Stats};
use upbeat_producer::{Producer, Spool};

use super::{LIMIT, down, secs};

#[tokio::test]
async fn a_second_process_can_look_at_a_spool_and_can_not_open_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made");
    let producer = Producer::builder(down()).spool(Spool::open(&path, LIMIT).unwrap()).build();
    producer.send("one").await.unwrap();
    producer.send("twenty").await.unwrap();
    let second = Spool::open(&path, LIMIT).unwrap_err().to_string();
    assert!(second.contains("in use by another process"), "{second}");
    let Stats { messages, dead_letters, bytes, oldest } = spool::stats(&path).unwrap();
    assert_eq!((messages, dead_letters, bytes), (2, 0, 2 * (1024 + 44) + 9));
    assert!(oldest.is_some());
    producer.close(secs(10)).await;
    assert_eq!(spool::stats(&path).unwrap().messages, 2, "also after it");
    drop(producer);

    let topic = Memory::standard("messages");
    let producer = Producer::builder(topic.clone()).spool(Spool::open(&path, LIMIT).unwrap()).build();
    producer.close(secs(30)).await;
    assert_eq!(topic.bodies(), ["one", "twenty"]);
    assert_eq!(spool::stats(&path).unwrap(), Stats::default());
}

#[test]
fn a_folder_that_can_not_be_had_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let told = Spool::open(file.path(), LIMIT).unwrap_err().to_string();
    assert!(told.contains(file.path().to_str().unwrap()) && told.contains("give a folder that"), "{told}");
    let told = spool::stats(&file.path().join("missing")).unwrap_err().to_string();
    assert!(told.contains("missing"), "{told}");
}
