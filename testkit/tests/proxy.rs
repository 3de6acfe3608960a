//! A network that breaks as told.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use upbeat_testkit::{LocalStack, Options, Proxy, Resources, Spoil, clients};

/// Long enough for an answer on this machine, short enough to wait for one that does not come.
const A_WHILE: Duration = Duration::from_millis(300);

const LIMIT: Duration = Duration::from_secs(20);

/// A server that answers each chunk with itself, and the proxy before it.
async fn proxied_echo() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    Proxy::to(format!("http://{address}"))
}

async fn connect(proxy: &Proxy) -> std::io::Result<TcpStream> {
    TcpStream::connect(proxy.url().trim_start_matches("http://")).await
}

/// What comes back: the same when all is well, nothing when the connection ends, an error when it breaks.
async fn say(stream: &mut TcpStream, text: &str) -> std::io::Result<String> {
    stream.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; 1024];
    let length = stream.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

#[tokio::test]
async fn all_passes_until_told_otherwise_and_an_end_is_passed_on_too() {
    let proxy = proxied_echo().await;
    let mut stream = connect(&proxy).await.unwrap();
    assert_eq!(say(&mut stream, "hello").await.unwrap(), "hello");
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn new_connections_are_refused_while_open_ones_go_on_until_cut() {
    let mut proxy = proxied_echo().await;
    let mut open = connect(&proxy).await.unwrap();
    assert_eq!(say(&mut open, "before").await.unwrap(), "before");

    proxy.refuse().await;
    assert_eq!(connect(&proxy).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(say(&mut open, "during").await.unwrap(), "during");
    proxy.cut();
    assert_eq!(open.read(&mut [0; 8]).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);

    proxy.pass();
    assert_eq!(say(&mut connect(&proxy).await.unwrap(), "after").await.unwrap(), "after");
}

#[tokio::test]
async fn a_black_hole_answers_neither_new_nor_open_connections_and_gives_nothing_back() {
    let mut proxy = proxied_echo().await;
    let mut used = connect(&proxy).await.unwrap();
    assert_eq!(say(&mut used, "before").await.unwrap(), "before");
    let mut unused = connect(&proxy).await.unwrap();
    assert_eq!(say(&mut unused, "before").await.unwrap(), "before");

    proxy.black_hole();
    let mut new = connect(&proxy).await.unwrap();
    assert!(timeout(A_WHILE, say(&mut used, "during")).await.is_err());
    assert!(timeout(A_WHILE, say(&mut new, "during")).await.is_err());

    proxy.pass();
    assert!(timeout(A_WHILE, say(&mut used, "after")).await.is_err());
    assert!(timeout(A_WHILE, say(&mut new, "after")).await.is_err());
    assert_eq!(say(&mut unused, "after").await.unwrap(), "after");
    proxy.cut();
    assert!(used.read(&mut [0; 8]).await.is_err());
}

#[tokio::test]
async fn a_delayed_response_comes_later_by_the_delay() {
    let proxy = proxied_echo().await;
    let mut stream = connect(&proxy).await.unwrap();
    proxy.delay(A_WHILE);
    let begun = Instant::now();
    assert_eq!(say(&mut stream, "hello").await.unwrap(), "hello");
    assert!(begun.elapsed() >= A_WHILE, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn only_the_response_to_the_request_that_was_named_is_dropped_and_only_once() {
    let proxy = proxied_echo().await;
    let (mut one, mut other) = (connect(&proxy).await.unwrap(), connect(&proxy).await.unwrap());
    proxy.spoil_response_to("Action=Publish", Spoil::Drop);
    assert_eq!(say(&mut other, "Action=Other").await.unwrap(), "Action=Other");
    let dropped = say(&mut one, "…Action=Publish…").await.unwrap_err();
    assert_eq!(dropped.kind(), std::io::ErrorKind::ConnectionReset);
    proxy.wait_spoilt(1, A_WHILE).await;
    assert_eq!(say(&mut other, "Action=Publish").await.unwrap(), "Action=Publish");
    assert_eq!(proxy.spoilt(), 1);
}

#[tokio::test]
async fn a_truncated_response_comes_by_half_and_breaks_off() {
    let proxy = proxied_echo().await;
    let mut stream = connect(&proxy).await.unwrap();
    proxy.spoil_response_to("", Spoil::Truncate);
    let mut came = Vec::new();
    stream.write_all(b"12345678").await.unwrap();
    let broken = timeout(LIMIT, stream.read_to_end(&mut came)).await.unwrap();
    // Of a connection that is reset, what came before may be lost.
    assert!(broken.is_err() && (came == b"1234" || came.is_empty()), "{broken:?} {came:?}");
    assert_eq!(proxy.spoilt(), 1);
}

#[tokio::test]
async fn a_response_that_hangs_leaves_its_connection_open_and_silent_and_others_alone() {
    let proxy = proxied_echo().await;
    let (mut one, mut other) = (connect(&proxy).await.unwrap(), connect(&proxy).await.unwrap());
    proxy.spoil_response_to("hang", Spoil::Hang);
    assert!(timeout(A_WHILE, say(&mut one, "hang")).await.is_err());
    assert!(timeout(A_WHILE, say(&mut one, "again")).await.is_err());
    assert_eq!(say(&mut other, "hang").await.unwrap(), "hang");
}

#[tokio::test]
async fn a_response_that_is_delayed_comes_later_and_those_after_it_do_not() {
    let proxy = proxied_echo().await;
    let mut stream = connect(&proxy).await.unwrap();
    proxy.spoil_response_to("", Spoil::Delay(A_WHILE));
    let begun = Instant::now();
    assert_eq!(say(&mut stream, "late").await.unwrap(), "late");
    assert!(begun.elapsed() >= A_WHILE, "{:?}", begun.elapsed());
    assert_eq!(say(&mut stream, "next").await.unwrap(), "next");
    assert_eq!(proxy.spoilt(), 1);
}

#[tokio::test]
async fn after_a_pass_no_response_is_spoilt_any_more() {
    let mut proxy = proxied_echo().await;
    proxy.spoil_response_to("", Spoil::Drop);
    proxy.pass();
    assert_eq!(say(&mut connect(&proxy).await.unwrap(), "hello").await.unwrap(), "hello");
}

#[tokio::test]
async fn new_connections_are_led_elsewhere_while_open_ones_stay() {
    let (proxy, elsewhere) = (proxied_echo().await, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let mut open = connect(&proxy).await.unwrap();
    assert_eq!(say(&mut open, "before").await.unwrap(), "before");
    proxy.lead_to(elsewhere.local_addr().unwrap().to_string());
    let (mut new, accepted) = tokio::join!(connect(&proxy), elsewhere.accept());
    accepted.unwrap().0.write_all(b"elsewhere").await.unwrap();
    assert_eq!(say(new.as_mut().unwrap(), "hello").await.unwrap(), "elsewhere");
    assert_eq!(say(&mut open, "still").await.unwrap(), "still");
}

#[tokio::test]
async fn a_publish_whose_response_is_dropped_fails_and_is_in_the_queue_all_the_same() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let mut proxy = Proxy::to(localstack);
    let sns = clients::sns(&proxy.url());
    let publish = async || sns.publish().topic_arn(&resources.topic_arn).message("hello").send().await;
    publish().await.unwrap();

    proxy.spoil_response_to("Action=Publish", Spoil::Drop);
    publish().await.unwrap_err();
    assert_eq!(resources.queue.drain_until(2, LIMIT).await.len(), 2);
    publish().await.unwrap();

    proxy.black_hole();
    assert!(timeout(A_WHILE, publish()).await.is_err());
    proxy.pass();
    publish().await.unwrap();
    assert_eq!(resources.queue.drain_until(2, LIMIT).await.len(), 2);
}

#[tokio::test]
async fn connections_are_reset_when_the_proxy_is_dropped() {
    let proxy = proxied_echo().await;
    let mut stream = connect(&proxy).await.unwrap();
    assert_eq!(say(&mut stream, "hello").await.unwrap(), "hello");
    drop(proxy);
    assert!(stream.read(&mut [0; 8]).await.is_err());
}
