//! What all of it is for: the pair of `examples/pair.yml` on two engines, and no message lost whatever fails.
//!
//! The file is the example's own but for LocalStack, which runs beside the test, as no engine here has its image, and is
//! reached in the middle, where its node would be; for the consumers, which post what they handle to the test, so that
//! it knows; and for their grace, which is shorter. The images are of this build.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use upbeat_testkit::{Count, LocalStack, Queue, Resources, clients, eventually, process};

use super::cluster::Cluster;
use super::{Hosts, Place, SOON};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/pair.yml");

/// The middle's address, where LocalStack is reached, and what was handled is told.
const BROKER: &str = "10.77.0.1";
const LOCALSTACK: &str = "10.77.0.1:4566";
const HANDLED: &str = "10.77.0.1:9000";

/// So many messages are published at a time, and how often.
const BATCH: usize = 10;
const EVERY: Duration = Duration::from_millis(250);

/// What the example's producer publishes of its own does not begin so.
const OURS: &str = "pair-";

/// A service's binary and the libraries that it needs, as an image like the project's.
const MAKE_IMAGE: &str = r#"
set -e
name=$1 binary=$2 root=$3
mkdir -p "$root/bin" "$root/tmp" "$root/etc/ssl/certs"
# As in the project's image: a client of HTTPS is made though none is used.
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
strip -o "$root/bin/$name" "$binary" || cp "$binary" "$root/bin/$name"
ldd "$binary" | grep -o '/[^ :]*' | sort -u | while read -r library; do
  mkdir -p "$root${library%/*}" && cp -L "$library" "$root$library"
done
tar -C "$root" -c . | docker import --change "ENV PATH=/bin" --change "ENTRYPOINT [\"$name\"]" \
  --change "HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD [\"$name\", \"healthcheck\"]" - "$name:0.1.0"
rm -rf "$root"
"#;

#[tokio::test]
async fn the_pair_on_two_engines_loses_no_message_to_a_killed_consumer_a_killed_engine_or_a_cut_host() {
    let Some(hosts) = Hosts::start(2).await else { return };
    let localstack = LocalStack::start().await;
    for name in ["producer", "consumer"] {
        make_image(&hosts, name).await;
    }
    serve_localstack(&hosts, localstack.url()).await;
    let handled = collect(&hosts).await;
    let file = hosts.shared("pair.yml");
    fs::write(&file, variant(&fs::read_to_string(EXAMPLE).unwrap())).unwrap();
    let path = file.display().to_string();
    let mut cluster = Cluster::on(hosts, move |command| command.env("CONFIG", &path).env("BROKER", BROKER)).await;
    for host in [1, 2] {
        cluster.start_agent(host).await;
    }
    cluster.settle("producer", 1).await;
    cluster.settle("consumer", 3).await;

    let stop = CancellationToken::new();
    let publishing = tokio::spawn(publish(topic(localstack.url()).await, stop.clone()));
    wait_more(&handled).await;

    let victim = if cluster.on_host("consumer", 1).await.is_empty() { 2 } else { 1 };
    let name = cluster.hosts.running(victim).await.into_iter().find(|name| name.starts_with("consumer.")).unwrap();
    cluster.hosts.docker(victim, &["kill", &name]).await;
    eventually("restart of the consumer", SOON, async || {
        let turns = cluster.turns("consumer").await;
        let ended = turns.iter().position(|turn| !turn.began && turn.name == name);
        let ended = ended.ok_or_else(|| format!("{turns:?}"))?;
        let again = turns[ended..].iter().any(|turn| turn.began && turn.name == name);
        if again { Ok(()) } else { Err(format!("{turns:?}")) }
    })
    .await;
    wait_more(&handled).await;

    cluster.hosts.kill_engine(1).await;
    cluster.wait_on(2, "consumer", 3).await;
    wait_more(&handled).await;
    cluster.hosts.start_engine(1).await;
    cluster.wait_nodes(2, "up").await;
    cluster.settle("consumer", 3).await;

    cluster.hosts.cut(2).await;
    cluster.wait_on(1, "consumer", 3).await;
    wait_more(&handled).await;
    cluster.hosts.mend(2).await;
    cluster.wait_nodes(2, "up").await;
    cluster.settle("consumer", 3).await;
    cluster.settle("producer", 1).await;

    stop.cancel();
    let sent = publishing.await.unwrap();
    let count = eventually("end of all messages", SOON, async || {
        let count = Count::of(sent.clone(), handled.lock().unwrap().clone());
        if count.lost.is_empty() { Ok(count) } else { Err(count.to_string()) }
    })
    .await;
    count.assert_nothing_lost();
    println!("sent {}, lost {}, handled twice {}", count.sent, count.lost.len(), count.repeated.len());
}

/// The example without its LocalStack, and with consumers that post what they handle.
fn variant(example: &str) -> String {
    let (before, rest) = example.split_once("  # Its queues are in its memory").unwrap();
    let (_, after) = rest.split_once("  # One, and never two").unwrap();
    let variant = format!("{before}  # One, and never two{after}");
    let changed = variant.replace("POLL_GRACE: 20s", &format!("POLL_GRACE: 1s\n      HTTP: http://{HANDLED}"));
    assert_ne!(changed, variant);
    changed
}

pub(crate) async fn make_image(hosts: &Hosts, name: &str) {
    let binary = process::binary(name).await;
    let folder = hosts.shared(&format!("{name}-image"));
    for host in hosts.all() {
        let mut shell = Command::new("sh");
        shell.args(["-c", MAKE_IMAGE, "sh", name]).arg(&binary).arg(&folder);
        let made = shell.env("DOCKER_HOST", hosts.socket(host)).stdin(Stdio::null()).output().await.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    assert!(!Path::new(&folder).exists());
}

/// A listener in the middle, for the test's own tasks.
async fn listen(hosts: &Hosts, address: &'static str) -> TcpListener {
    let listener = hosts.inside(Place::Middle, async move || std::net::TcpListener::bind(address)).await.unwrap();
    listener.set_nonblocking(true).unwrap();
    TcpListener::from_std(listener).unwrap()
}

/// Has LocalStack be reached in the middle.
async fn serve_localstack(hosts: &Hosts, url: &str) {
    let listener = listen(hosts, LOCALSTACK).await;
    let to = url.strip_prefix("http://").unwrap().to_owned();
    tokio::spawn(async move {
        while let Ok((mut here, _)) = listener.accept().await {
            let to = to.clone();
            tokio::spawn(async move {
                if let Ok(mut there) = TcpStream::connect(to).await {
                    // A connection that was cut is what this is about.
                    drop(copy_bidirectional(&mut here, &mut there).await);
                }
            });
        }
    });
}

/// What consumers handle, each time.
async fn collect(hosts: &Hosts) -> Arc<Mutex<Vec<String>>> {
    let handled = Arc::new(Mutex::new(Vec::new()));
    let bodies = Arc::clone(&handled);
    let handle = async move |body: String| {
        if body.starts_with(OURS) {
            bodies.lock().unwrap().push(body);
        }
    };
    let listener = listen(hosts, HANDLED).await;
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(handle)).await });
    handled
}

/// Waits until more has been handled than by now.
async fn wait_more(handled: &Mutex<Vec<String>>) {
    let known = handled.lock().unwrap().len();
    eventually("more that is handled", SOON, async || {
        let now = handled.lock().unwrap().len();
        if now > known { Ok(()) } else { Err(format!("{now}")) }
    })
    .await;
}

/// The topic and the queue of the example, which LocalStack has from its start.
async fn topic(url: &str) -> Resources {
    let queue = Queue::find(&clients::sqs(url), "messages").await;
    let topic_arn = "arn:aws:sns:us-east-1:000000000000:messages".to_owned();
    Resources { topic: "messages".to_owned(), topic_arn, queue, dlq: None, sns: clients::sns(url) }
}

/// Publishes until it is told to stop; gives what it has.
async fn publish(resources: Resources, stop: CancellationToken) -> Vec<String> {
    let mut sent = Vec::new();
    let mut ticks = interval(EVERY);
    while !stop.is_cancelled() {
        ticks.tick().await;
        let batch: Vec<_> = (sent.len()..sent.len() + BATCH).map(|n| format!("{OURS}{n}")).collect();
        resources.publish(&batch).await;
        sent.extend(batch);
    }
    sent
}
