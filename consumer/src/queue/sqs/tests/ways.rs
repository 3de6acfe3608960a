//! The short way against the SDK's own.

use aws_sdk_sqs::config::Intercept;
use aws_sdk_sqs::config::retry::RetryConfig;

use super::*;

/// What differs from request to request, or is for statistics only.
const DIFFERENT: [&str; 4] = ["authorization", "x-amz-date", "amz-sdk-invocation-id", "amz-sdk-request"];

/// Answers two requests with this status and these headers, and no messages; their own heads are the task's result.
async fn heads(status_and_headers: &'static str) -> (String, JoinHandle<[Vec<String>; 2]>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let mut heads = [Vec::new(), Vec::new()];
        for head in &mut heads {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                let line = line.trim().to_owned();
                if line.is_empty() {
                    break;
                }
                if let Some(bytes) = line.strip_prefix("content-length: ") {
                    length = bytes.parse().unwrap();
                }
                head.push(line);
            }
            stream.read_exact(&mut vec![0; length]).await.unwrap();
            let answer = format!("HTTP/1.1 {status_and_headers}\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        heads
    });
    (url, task)
}

fn has(head: &[String], name: &str) -> bool {
    head.iter().any(|line| line.split_once(": ").is_some_and(|(other, _)| other == name))
}

#[tokio::test]
async fn a_later_request_is_sent_as_the_sdk_sends_the_first() {
    let (url, asked) = heads("200 x").await;
    let queue = queue_at(&url, "q").await;
    queue.receive(receive()).await.unwrap();
    assert!(queue.ways.receive.get().is_some() && queue.ways.delete.get().is_none(), "each operation has its own way");
    queue.receive(receive()).await.unwrap();
    let heads = asked.await.unwrap();
    assert!(heads.iter().all(|head| has(head, "authorization") && has(head, "x-amz-date")), "{heads:?}");
    let [by_sdk, short] = heads.map(|head| {
        let same = head.into_iter().filter(|line| !DIFFERENT.iter().any(|name| line.starts_with(name)));
        let mut same: Vec<_> = same.collect();
        same.sort();
        same
    });
    assert_eq!(short, by_sdk);
}

#[tokio::test]
async fn once_the_clock_turns_out_to_be_wrong_the_way_is_the_sdks() {
    let (url, asked) = heads("403 x\r\ndate: Sat, 30 Jan 2021 00:25:58 GMT").await;
    let queue = queue_at(&url, "q").await;
    queue.receive(receive()).await.unwrap_err();
    assert!(queue.ways.receive.get().is_none());
    queue.receive(receive()).await.unwrap_err();
    let [_, second] = asked.await.unwrap();
    assert!(has(&second, "amz-sdk-invocation-id"), "{second:?}");
}

#[derive(Debug)]
struct OfTheUser;

impl Intercept for OfTheUser {
    fn name(&self) -> &'static str {
        "OfTheUser"
    }
}

#[tokio::test]
async fn a_client_with_interceptors_or_retries_of_its_user_keeps_to_the_sdks_way() {
    let (url, asked) = heads("200 x").await;
    let config = || clients::sqs(&url).config().to_builder();
    for config in [config().interceptor(OfTheUser), config().retry_config(RetryConfig::standard())] {
        let address = format!("{url}/000000000000/q").parse().unwrap();
        let queue = SqsQueue::find(config.build(), &address).await.unwrap();
        queue.receive(receive()).await.unwrap();
        assert!(queue.ways.receive.get().is_none());
    }
    asked.await.unwrap();
}
