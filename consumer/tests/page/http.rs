//! What is sent to whoever asks for it.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use upbeat_testkit::{Service, Signal, eventually};

use crate::{LIMIT, consumer};

/// A viewer's connection, after the status line of the answer.
struct Viewer {
    status: u16,
    stream: BufReader<TcpStream>,
}

impl Viewer {
    async fn open(service: &Service) -> Self {
        let mut stream = TcpStream::connect(service.wait_listening().await).await.unwrap();
        stream.write_all(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        timeout(LIMIT, stream.read_line(&mut line)).await.unwrap().unwrap();
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        Self { status: status.unwrap_or_else(|| panic!("{line:?}")), stream }
    }

    /// Reads on until a line has this in it.
    async fn wait_for(&mut self, wanted: &str) -> String {
        let found = async {
            loop {
                let mut line = String::new();
                assert!(self.stream.read_line(&mut line).await.unwrap() > 0, "the stream ended before {wanted:?}");
                if line.contains(wanted) {
                    return line;
                }
            }
        };
        timeout(LIMIT, found).await.unwrap_or_else(|_| panic!("no {wanted:?}"))
    }

    async fn ends(mut self) {
        let mut rest = Vec::new();
        timeout(LIMIT, self.stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn all_parts_of_the_page_are_in_the_binary_and_nothing_may_come_from_elsewhere() {
    let (_resources, command) = consumer().await;
    let service = command.start().await;
    let page = service.get("/").await;
    assert_eq!((page.status, &*page.headers["content-type"]), (200, "text/html; charset=utf-8"));
    for part in ["", "page.css", "page.js", "plot.js", "icon.svg"] {
        let answer = service.get(&format!("/{part}")).await;
        assert_eq!(answer.status, 200, "{part}");
        let policy = &answer.headers["content-security-policy"];
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{part}: {policy}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{part}");
        assert!(!answer.body.replace("http://www.w3.org/", "").contains("://"), "{part} names another place");
        assert!(!answer.body.contains("innerHTML") && !answer.body.contains(" style="), "{part}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        let address = service.wait_listening().await;
        let answer =
            upbeat_testkit::http::request(method, &format!("http://{address}/"), "text/plain", "".into()).await;
        assert_eq!(answer.unwrap().status, 405, "{method}: the page only shows");
    }
}

#[tokio::test]
async fn many_viewers_leave_liveness_and_work_alone_and_who_is_too_many_is_told_to_come_later() {
    let (resources, command) = consumer().await;
    let service = command.start().await;
    service.wait_ready().await;
    let mut viewers = Vec::new();
    for _ in 0..130 {
        viewers.push(Viewer::open(&service).await);
    }
    let (mut looking, mut refused): (Vec<_>, Vec<_>) = viewers.into_iter().partition(|viewer| viewer.status == 200);
    assert_eq!((looking.len(), refused.len()), (100, 30));
    assert!(refused.iter().all(|viewer| viewer.status == 503));
    refused[0].wait_for("retry-after: 30").await;

    resources.queue.send((0..100).map(|n| format!("message {n}"))).await;
    service.wait_events("deleted", 100, LIMIT).await;
    assert_eq!(service.get("/health").await.status, 200);
    for viewer in &mut looking {
        viewer.wait_for("event: begin").await;
        viewer.wait_for("event: sample").await;
    }
    drop(looking.split_off(1));
    // Their places are free once it is noticed that they are gone.
    let again = async || match Viewer::open(&service).await {
        viewer if viewer.status == 200 => Ok(viewer),
        refused => Err(refused.status.to_string()),
    };
    let mut late = eventually("a place", LIMIT, again).await;
    late.wait_for("event: sample").await;

    service.signal(Signal::SIGTERM);
    assert_eq!(service.wait_exit(LIMIT).await, 0);
    looking.remove(0).ends().await;
    late.ends().await;
}

#[tokio::test]
async fn a_body_is_shown_only_when_asked_for() {
    for asked in [false, true] {
        let (resources, command) = consumer().await;
        let service = command.env("PAGE_BODIES", asked.to_string()).start().await;
        service.wait_ready().await;
        let mut viewer = Viewer::open(&service).await;
        resources.queue.send(["a secret"]).await;
        let row = viewer.wait_for("\"outcome\":\"done\"").await;
        assert_eq!(row.contains("a secret"), asked, "{row}");
    }
}
