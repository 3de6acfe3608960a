//! The tools by the real binary against LocalStack.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use upbeat_testkit::{
    Count, LocalStack, Options, Outgoing, Queue, Resources, Service, ServiceCommand, Signal, clients, eventually,
};

/// Far more than anything here takes, on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_mins(2);

/// What a tool printed, and its exit code.
struct Ran {
    code: i32,
    out: String,
    errors: String,
}

impl Ran {
    /// Asserts the level of the one line that holds all of this.
    #[track_caller]
    fn assert_line(&self, level: &str, parts: &[&str]) {
        let line = self.out.lines().find(|line| parts.iter().all(|part| line.contains(part)));
        let line = line.unwrap_or_else(|| panic!("no line with {parts:?}: {self}"));
        assert!(line.starts_with(&format!("{level:<4}  ")), "{level}: {line}");
        assert_eq!(level != "ok", line.contains(" → "), "advice where it is needed: {line}");
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "exit code {}\n{}{}", self.code, self.out, self.errors)
    }
}

fn tool(endpoint: impl AsRef<str>, queue: &str, arguments: &[&str]) -> ServiceCommand {
    Service::consumer(endpoint).args(arguments.iter().copied()).args(["--queue", queue])
}

async fn ended(command: ServiceCommand) -> Ran {
    let service = command.spawn().await;
    let code = service.wait_exit(LIMIT).await;
    let text = |lines: Vec<String>| lines.into_iter().map(|line| line + "\n").collect();
    Ran { code, out: text(service.lines()), errors: text(service.errors().lines()) }
}

async fn doctor(resources: &Resources, localstack: &LocalStack) -> Ran {
    ended(tool(localstack, &resources.queue.name, &["doctor", "--topic", &resources.topic])).await
}

async fn set(queue: &Queue, name: QueueAttributeName, value: &str) {
    queue.client.set_queue_attributes().queue_url(&queue.url).attributes(name, value).send().await.unwrap();
}

#[tokio::test]
async fn doctor_finds_no_fault_with_what_is_in_order() {
    let localstack = LocalStack::shared().await;
    for fifo in [false, true] {
        let resources = Resources::make(localstack, Options { fifo, ..Options::default() }).await;
        set(resources.dlq(), QueueAttributeName::MessageRetentionPeriod, "1209600").await;
        resources.queue.send(["one"]).await;
        let ran = doctor(&resources, localstack).await;
        assert_eq!(ran.code, 0, "{ran}");
        assert!(ran.out.ends_with("0 faults, 0 warnings\n"), "{ran}");
        for parts in [
            ["region", "us-east-1"],
            ["credentials", "from environment variables"],
            ["endpoint", localstack.url()],
            ["clock", "agrees"],
            ["queue", "1 waiting, 0 in flight"],
            ["permissions", "allowed"],
            ["visibility", "30s"],
            ["maxReceiveCount", "5"],
            ["dead letters", "empty"],
            ["policy", &resources.topic_arn],
            ["subscription", &resources.topic_arn],
            ["raw delivery", "on"],
        ] {
            ran.assert_line("ok", &parts);
        }
        assert_eq!(resources.queue.counts().await.visible, 1, "nothing is received");
        let again = ended(Service::consumer(localstack).args(["--queue", &resources.queue.name, "doctor"])).await;
        assert_eq!(again.out, ran.out, "the queue may be named before the command, and its policy names the topic");
    }
}

#[tokio::test]
async fn doctor_tells_each_thing_that_is_wrong_with_the_queues() {
    let localstack = LocalStack::shared().await;
    let absent = ended(tool(localstack, "absent", &["doctor"])).await;
    assert_eq!(absent.code, 1, "{absent}");
    absent.assert_line("FAIL", &["queue", "absent", "--queue"]);

    let bare = Resources::make(localstack, Options { max_receive_count: None, raw: false, ..Options::default() }).await;
    let ran = doctor(&bare, localstack).await;
    assert_eq!(ran.code, 0, "{ran}");
    ran.assert_line("warn", &["dead letters", "no dead-letter queue", "RedrivePolicy"]);
    ran.assert_line("warn", &["raw delivery", "envelope", "RawMessageDelivery"]);

    let risky = Resources::make(localstack, Options { max_receive_count: Some(1), ..Options::default() }).await;
    risky.dlq().send(["dead"]).await;
    let ran = doctor(&risky, localstack).await;
    assert_eq!(ran.code, 0, "{ran}");
    ran.assert_line("warn", &["maxReceiveCount", "unhandled"]);
    ran.assert_line("warn", &["dead letters", "holds 1 message", "consumer redrive"]);
    ran.assert_line("warn", &["retention", "1209600"]);
    risky.dlq().remove().await;
    let ran = doctor(&risky, localstack).await;
    assert_eq!(ran.code, 1, "{ran}");
    ran.assert_line("FAIL", &["dead letters", "does not exist"]);
}

#[tokio::test]
async fn doctor_tells_each_thing_that_is_wrong_with_topic_policy_and_subscription() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    set(&resources.queue, QueueAttributeName::Policy, "").await;
    let ran = doctor(&resources, localstack).await;
    assert_eq!(ran.code, 1, "{ran}");
    ran.assert_line("FAIL", &["policy", "sqs:SendMessage", &resources.topic_arn]);
    let unknown = ended(tool(localstack, &resources.queue.name, &["doctor"])).await;
    unknown.assert_line("warn", &["topic", "--topic"]);

    let queue = Queue::make(&clients::sqs(localstack.url()), "doctor-lonely", HashMap::new()).await;
    let ran = ended(tool(localstack, &queue.name, &["doctor", "--topic", &resources.topic])).await;
    assert_eq!(ran.code, 1, "{ran}");
    ran.assert_line("FAIL", &["subscription", "aws sns subscribe", &queue.arn]);

    for absent in ["absent", "arn:aws:sns:us-east-1:000000000000:absent"] {
        let ran = ended(tool(localstack, &queue.name, &["doctor", "--topic", absent])).await;
        assert_eq!(ran.code, 1, "{ran}");
        ran.assert_line("FAIL", &["topic", "absent", "--topic"]);
    }
}

#[tokio::test]
async fn doctor_tells_what_is_missing_before_the_first_request_and_never_hangs() {
    let localstack = LocalStack::shared().await;
    let command = || tool(localstack, "messages", &["doctor"]);
    for command in [command().env_remove("AWS_REGION"), command().env("AWS_REGION", "")] {
        let ran = ended(command).await;
        assert_eq!(ran.code, 1, "{ran}");
        ran.assert_line("FAIL", &["region", "AWS_REGION"]);
    }
    let ran = ended(command().env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY")).await;
    assert_eq!(ran.code, 1, "{ran}");
    ran.assert_line("FAIL", &["credentials", "AWS_PROFILE"]);
    let ran = ended(command().env("AWS_ENDPOINT_URL", "localhost:4566")).await;
    assert_eq!(ran.code, 1, "{ran}");
    ran.assert_line("FAIL", &["endpoint", "http://localhost:4566"]);
    let ran = ended(command().env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")).await;
    assert_eq!(ran.code, 1, "{ran}");
    ran.assert_line("FAIL", &["queue", "AWS_ENDPOINT_URL"]);

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ran = ended(command().env("AWS_ENDPOINT_URL", format!("http://{}", silent.local_addr().unwrap()))).await;
    assert_eq!(ran.code, 1, "{ran}");
    ran.assert_line("FAIL", &["queue", "no answer in time"]);
}

#[tokio::test]
async fn peek_shows_the_messages_and_leaves_them_where_they_are() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let messages = (0..3).map(|n| Outgoing::new(format!("body\n{n}")).attribute("id", &format!("own-{n}")));
    resources.publish(messages).await;
    eventually("delivery", LIMIT, async || match resources.queue.counts().await.visible {
        3 => Ok(()),
        visible => Err(visible.to_string()),
    })
    .await;

    let ran = ended(tool(localstack, &resources.queue.name, &["peek", "--count", "5"])).await;
    assert_eq!(ran.code, 0, "{ran}");
    for n in 0..3 {
        assert!(ran.out.contains(&format!("own-{n}  message id ")), "{ran}");
        assert!(ran.out.contains(&format!("body\\n{n}\n")), "{ran}");
    }
    assert!(ran.errors.contains("3 messages"), "{ran}");
    let counts = resources.queue.counts().await;
    assert_eq!((counts.visible, counts.in_flight), (3, 0), "{ran}");

    let raw = ended(tool(localstack, &resources.queue.name, &["peek", "--count", "1", "--raw"])).await;
    assert_eq!(raw.out.lines().count(), 2, "a body with a line end in it, as it is: {raw}");
    assert_eq!(resources.queue.counts().await.visible, 3);
    assert!(resources.dlq().drain().await.is_empty());
}

#[tokio::test]
async fn peek_stops_before_it_costs_more_than_one_message_its_last_receive() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options { max_receive_count: Some(2), ..Options::default() }).await;
    resources.queue.send(["a", "b", "c"]).await;
    let first = ended(tool(localstack, &resources.queue.name, &["peek"])).await;
    assert!(first.code == 0 && first.errors.contains("3 messages"), "{first}");
    let second = ended(tool(localstack, &resources.queue.name, &["peek"])).await;
    assert!(second.errors.contains("1 message of") && second.errors.contains("maxReceiveCount"), "{second}");
    assert_eq!(resources.dlq().counts().await.total(), 0);

    let once = Resources::make(localstack, Options { max_receive_count: Some(1), ..Options::default() }).await;
    once.queue.send(["a"]).await;
    let refused = ended(tool(localstack, &once.queue.name, &["peek"])).await;
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.errors.starts_with("error: maxReceiveCount"), "{refused}");
    assert_eq!(once.queue.drain().await[0].receive_count, 1, "it was not received before");
}

#[tokio::test]
async fn peek_gives_back_what_it_holds_when_it_is_interrupted() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    resources.queue.send((0..60).map(|n| n.to_string())).await;
    let peek = tool(localstack, &resources.queue.name, &["peek", "--count", "1000"]).spawn().await;
    eventually("first message", LIMIT, async || {
        match resources.queue.counts().await.in_flight {
            0 => Err("none"),
            _ => Ok(()),
        }
        .map_err(str::to_owned)
    })
    .await;
    peek.signal(Signal::SIGINT);
    assert_eq!(peek.wait_exit(LIMIT).await, 0, "{peek:?}");
    assert!(peek.errors().lines().concat().contains("interrupted"), "{peek:?}");
    let counts = resources.queue.counts().await;
    assert_eq!((counts.visible, counts.in_flight), (60, 0), "{peek:?}");
}

#[tokio::test]
async fn purge_asks_first_and_then_removes_everything() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    resources.queue.send(["a", "b"]).await;
    resources.dlq().send(["c"]).await;
    let asked = ended(tool(localstack, &resources.queue.name, &["purge"])).await;
    assert_eq!(asked.code, 2, "{asked}");
    assert!(asked.errors.contains("2 messages") && asked.errors.contains("--yes"), "{asked}");
    assert_eq!(resources.queue.counts().await.visible, 2);

    let dead = ended(tool(localstack, &resources.queue.name, &["purge", "--dead-letters", "--yes"])).await;
    assert_eq!(dead.code, 0, "{dead}");
    assert_eq!((resources.dlq().counts().await.total(), resources.queue.counts().await.total()), (0, 2));
    let purged = ended(tool(localstack, &resources.queue.name, &["purge", "--yes"])).await;
    assert!(purged.code == 0 && purged.out.contains("2 messages"), "{purged}");
    assert_eq!(resources.queue.counts().await.total(), 0);
}

/// LocalStack does not refuse a second purge, so this answers as SQS does.
#[tokio::test]
async fn a_second_purge_within_a_minute_is_explained() {
    const REFUSAL: &str =
        r#"{"__type":"com.amazonaws.sqs#PurgeQueueInProgress","message":"Only one every 60 seconds."}"#;
    const COUNTS: &str = r#"{"Attributes":{"ApproximateNumberOfMessages":"1"}}"#;
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", server.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = server.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 16 * 1024];
                let read = stream.read(&mut request).await.unwrap();
                let refused = String::from_utf8_lossy(&request[..read]).contains("PurgeQueue");
                let (status, body) = if refused { ("403 Forbidden", REFUSAL) } else { ("200 OK", COUNTS) };
                let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\n");
                let answer = format!("{head}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    let queue = format!("{endpoint}/000000000000/messages");
    let ran = ended(tool(&endpoint, &queue, &["purge", "--yes"])).await;
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.errors.starts_with("error: messages was purged less than 60 seconds ago"), "{ran}");
    assert_eq!(ran.errors.lines().count(), 1, "{ran}");
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("message {n}")).collect()
}

/// Dead letters with an attribute each.
async fn bury(resources: &Resources, bodies: &[String]) {
    resources.dlq().send(bodies.iter().map(|body| Outgoing::new(body).attribute("of", body))).await;
}

#[tokio::test]
async fn redrive_moves_the_dead_letters_back_with_all_they_carry_whoever_moves_them() {
    let localstack = LocalStack::shared().await;
    for method in ["auto", "sqs", "hand"] {
        let resources = Resources::make(localstack, Options::default()).await;
        let bodies = numbered(250);
        bury(&resources, &bodies).await;
        let ran = ended(tool(localstack, &resources.queue.name, &["redrive", "--method", method])).await;
        assert_eq!(ran.code, 0, "{method}: {ran}");
        assert!(ran.out.contains("moved 250 messages") && ran.out.contains("0 failed, about 0 left"), "{ran}");
        let moved = resources.queue.drain_until(250, LIMIT).await;
        assert!(moved.iter().all(|message| message.attributes["of"] == message.body), "{moved:?}");
        Count::of(bodies, moved.into_iter().map(|message| message.body)).assert_exactly_once();
        assert_eq!(resources.dlq().counts().await.total(), 0);
    }
}

#[tokio::test]
async fn redrive_keeps_groups_and_their_order_and_nothing_is_taken_for_a_copy() {
    let localstack = LocalStack::shared().await;
    let resources =
        Resources::make(localstack, Options { fifo: true, max_receive_count: Some(1), ..Options::default() });
    let resources = resources.await;
    let bodies = numbered(40);
    // In the queue first, from where SQS itself moves them: less than five minutes old, their deduplication ids are known to it.
    let messages = bodies.iter().enumerate();
    resources.queue.send(messages.map(|(n, body)| Outgoing::new(body).group(&format!("group-{}", n % 4)))).await;
    eventually("dead letters", LIMIT, async || {
        for message in resources.queue.receive(Duration::ZERO).await {
            let call = resources.queue.client.change_message_visibility().queue_url(&resources.queue.url);
            call.set_receipt_handle(message.receipt_handle).visibility_timeout(0).send().await.unwrap();
        }
        match resources.dlq().counts().await.visible {
            40 => Ok(()),
            visible => Err(visible.to_string()),
        }
    })
    .await;
    let ran = ended(tool(localstack, &resources.queue.name, &["redrive"])).await;
    assert_eq!(ran.code, 0, "{ran}");
    let moved = resources.queue.drain_until(40, LIMIT).await;
    for group in 0..4 {
        let name = format!("group-{group}");
        let in_group = moved.iter().filter(|message| message.group.as_deref() == Some(&name));
        let expected: Vec<_> = bodies.iter().skip(group).step_by(4).collect();
        assert_eq!(in_group.map(|message| &message.body).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn a_redrive_that_is_killed_loses_nothing_and_is_finished_by_another() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let bodies = numbered(250);
    bury(&resources, &bodies).await;
    let command = || tool(localstack, &resources.queue.name, &["redrive", "--method", "hand"]);
    for part in [30, 120] {
        let running = command().spawn().await;
        eventually("part of it", LIMIT, async || match resources.queue.counts().await.visible {
            visible if visible >= part => Ok(()),
            visible => Err(visible.to_string()),
        })
        .await;
        running.kill().await;
    }
    assert!(resources.dlq().counts().await.total() > 0, "it was killed too late");
    let ran = ended(command()).await;
    assert_eq!(ran.code, 0, "{ran}");
    assert_eq!(resources.dlq().counts().await.total(), 0, "{ran}");
    let moved = resources.queue.drain_until(250, LIMIT).await;
    Count::of(bodies, moved.into_iter().map(|message| message.body)).assert_nothing_lost();
}

#[tokio::test]
async fn redrive_moves_as_many_as_asked_for_and_where_to() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let other = Resources::make(localstack, Options::default()).await;
    bury(&resources, &numbered(30)).await;
    let arguments = ["redrive", "--max", "12", "--to", &other.queue.name];
    let ran = ended(tool(localstack, &resources.queue.name, &arguments)).await;
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.out.contains("moved 12 messages") && ran.out.contains("about 18 left"), "{ran}");
    let moved: BTreeSet<_> = other.queue.drain().await.into_iter().map(|message| message.body).collect();
    assert_eq!((moved.len(), resources.dlq().counts().await.visible), (12, 18));
}

#[tokio::test]
async fn a_dead_letter_that_the_queue_refuses_stays_where_it_is_and_nothing_of_its_group_overtakes_it() {
    let localstack = LocalStack::shared().await;
    for fifo in [false, true] {
        let resources = Resources::make(localstack, Options { fifo, ..Options::default() }).await;
        set(&resources.queue, QueueAttributeName::MaximumMessageSize, "1024").await;
        let letter = |body: &str, group| if fifo { Outgoing::new(body).group(group) } else { Outgoing::new(body) };
        let large = "x".repeat(2000);
        let letters = [letter("a1", "a"), letter(&large, "a"), letter("a2", "a"), letter("b1", "b"), letter("b2", "b")];
        resources.dlq().send(letters).await;
        let ran = ended(tool(localstack, &resources.queue.name, &["redrive", "--method", "hand"])).await;
        assert_eq!(ran.code, 1, "{ran}");
        assert!(ran.errors.starts_with("error: ") && ran.errors.lines().count() == 1, "{ran}");
        let bodies = async |queue: &Queue| queue.drain().await.into_iter().map(|message| message.body).collect();
        let moved: BTreeSet<String> = bodies(&resources.queue).await;
        let stayed: BTreeSet<String> = bodies(resources.dlq()).await;
        let (mut moved_expected, mut stayed_expected) = (vec!["a1", "b1", "b2"], vec![&*large]);
        if fifo { &mut stayed_expected } else { &mut moved_expected }.push("a2");
        assert_eq!(moved, moved_expected.into_iter().map(str::to_owned).collect(), "{ran}");
        assert_eq!(stayed, stayed_expected.into_iter().map(str::to_owned).collect(), "{ran}");
    }
}

#[tokio::test]
async fn each_tool_has_a_help_that_tells_its_dangers_and_exit_codes() {
    for (name, danger) in [
        ("doctor", "receives nothing"),
        ("peek", "counts as received"),
        ("redrive", "may be there twice"),
        ("purge", "60 seconds"),
    ] {
        let ran = ended(Service::consumer("http://127.0.0.1:1").args([name, "--help"])).await;
        let text = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(ran.code == 0 && text.contains(danger) && text.contains("Exit codes: 0"), "{ran}");
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_told_on_one_line() {
    let localstack = LocalStack::shared().await;
    let bare = Resources::make(localstack, Options { max_receive_count: None, ..Options::default() }).await;
    let fifo = Resources::make(localstack, Options { fifo: true, ..Options::default() }).await;
    let standard = Resources::make(localstack, Options::default()).await;
    let cases: [(&str, &[&str], i32, &str); 8] = [
        ("absent", &["peek"], 1, "--queue"),
        ("absent", &["purge", "--yes"], 1, "--queue"),
        (&bare.queue.name, &["redrive"], 1, "no dead-letter queue"),
        (&bare.queue.name, &["peek", "--dead-letters"], 1, "no dead-letter queue"),
        (&standard.queue.name, &["redrive", "--to", &fifo.queue.name], 1, "FIFO"),
        (&standard.queue.name, &["redrive", "--max", "0"], 2, "--max"),
        (&standard.queue.name, &["peek", "--count", "many"], 2, "--count"),
        (&standard.queue.name, &["doctor", "--topic", "a b"], 2, "topic"),
    ];
    for (queue, arguments, code, hint) in cases {
        let ran = ended(tool(localstack, queue, arguments)).await;
        assert_eq!(ran.code, code, "{arguments:?}: {ran}");
        assert!(ran.errors.starts_with("error: ") && ran.errors.contains(hint), "{arguments:?}: {ran}");
        assert_eq!(ran.errors.lines().count(), 1, "{arguments:?}: {ran}");
    }
}
