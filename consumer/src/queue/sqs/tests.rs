//! What goes over the wire, against a server that answers as it is told.

mod ways;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use upbeat_testkit::clients;

use super::super::{Batch, DeadLetter, Delivery, EntryError, ErrorKind, Queue, QueueError, ReceiptHandle, Receive};
use super::{QueueAddress, SqsQueue};
use crate::message::{Attribute, AttributeValue, Attributes, Payload};

/// A request as it came: the action and its JSON.
type Request = (String, Value);

/// Answers one request with this status and JSON; what was asked is the task's result.
async fn server(status: u16, answer: impl ToString) -> (String, JoinHandle<Request>) {
    let (url, asked) = server_of(vec![(status, answer.to_string())]).await;
    (url, tokio::spawn(async move { asked.await.unwrap().remove(0) }))
}

/// Answers as many requests as there are answers, each on a connection of its own.
async fn server_of(answers: Vec<(u16, String)>) -> (String, JoinHandle<Vec<Request>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let mut asked = Vec::new();
        for (status, answer) in answers {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            asked.push(read_request(&mut stream).await);
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/x-amz-json-1.0\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            stream.write_all((head + &answer).as_bytes()).await.unwrap();
        }
        asked
    });
    (url, task)
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Request {
    let (mut action, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let line = line.trim().to_ascii_lowercase();
        if let Some(target) = line.strip_prefix("x-amz-target: amazonsqs.") {
            action = target.to_owned();
        } else if let Some(bytes) = line.strip_prefix("content-length: ") {
            length = bytes.parse().unwrap();
        } else if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (action, serde_json::from_slice(&body).unwrap())
}

async fn queue_at(url: &str, name: &str) -> SqsQueue {
    let address: QueueAddress = format!("{url}/000000000000/{name}").parse().unwrap();
    SqsQueue::find(clients::sqs(url).config().clone(), &address).await.unwrap()
}

fn receive() -> Receive {
    let (wait, lease) = (Duration::from_secs(20), Duration::from_secs(30));
    Receive { max: 7, wait, lease, attempt_id: Some("attempt".to_owned()) }
}

fn receipts(count: usize) -> Batch<ReceiptHandle> {
    (0..count).map(|n| ReceiptHandle(format!("r{n}"))).collect()
}

/// The error of a receive that is answered so, the same whether the request was the SDK's or came the short way.
async fn error(status: u16, answer: impl ToString) -> QueueError {
    let (url, _server) = server_of(vec![(status, answer.to_string()); 2]).await;
    let queue = queue_at(&url, "q").await;
    let by_sdk = queue.receive(receive()).await.unwrap_err();
    assert!(queue.ways.receive.get().is_some());
    assert_eq!(queue.receive(receive()).await.unwrap_err(), by_sdk);
    by_sdk
}

#[tokio::test]
async fn a_receive_asks_for_what_it_was_told_and_for_no_attribute_more_than_it_needs() {
    let (url, asked) = server(200, "{}").await;
    let queue = queue_at(&url, "q.fifo").await;
    assert!(queue.receive(receive()).await.unwrap().is_empty());
    let (action, mut request) = asked.await.unwrap();
    request["MessageSystemAttributeNames"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
    let expected = json!({
        "QueueUrl": queue.url(), "MaxNumberOfMessages": 7, "WaitTimeSeconds": 20, "VisibilityTimeout": 30,
        "ReceiveRequestAttemptId": "attempt", "MessageAttributeNames": ["All"],
        "MessageSystemAttributeNames":
            ["ApproximateFirstReceiveTimestamp", "ApproximateReceiveCount", "MessageGroupId", "SentTimestamp"],
    });
    assert_eq!((action.as_str(), request), ("receivemessage", expected));
}

#[tokio::test]
async fn a_standard_queue_is_asked_without_attempt_id_and_a_wait_of_nothing_is_said() {
    let (url, asked) = server(200, "{}").await;
    let short = Receive { wait: Duration::ZERO, ..receive() };
    queue_at(&url, "q").await.receive(short).await.unwrap();
    let (_, request) = asked.await.unwrap();
    assert_eq!(request.get("ReceiveRequestAttemptId"), None);
    assert_eq!(request["WaitTimeSeconds"], 0);
}

#[tokio::test]
async fn a_message_is_read_whole_and_one_that_cannot_be_handled_is_left_alone() {
    let system = json!({
        "ApproximateReceiveCount": "3", "SentTimestamp": "1611966358001",
        "ApproximateFirstReceiveTimestamp": "1611966358123", "MessageGroupId": "g",
    });
    let attributes = json!({
        "text": {"DataType": "String", "StringValue": "v"}, "bytes": {"DataType": "Binary.x", "BinaryValue": "AAH/"},
    });
    let messages = json!([
        {"MessageId": "m", "ReceiptHandle": "r", "Body": "hello", "Attributes": system, "MessageAttributes": attributes},
        {"MessageId": "no receipt handle", "Body": "x"},
        {"MessageId": "bare", "ReceiptHandle": "r"},
    ]);
    let (url, _server) = server(200, json!({"Messages": messages})).await;
    let received = queue_at(&url, "q").await.receive(receive()).await.unwrap();
    assert_eq!(received.len(), 2);
    let delivery = &received[0].delivery;
    assert_eq!((&*delivery.message_id, delivery.receipt.0.as_str(), delivery.receive_count), ("m", "r", 3));
    assert_eq!(delivery.group.as_deref(), Some("g"));
    assert_eq!(delivery.sent_at, Some(UNIX_EPOCH + Duration::from_millis(1_611_966_358_001)));
    assert_eq!(delivery.first_received_at, Some(UNIX_EPOCH + Duration::from_millis(1_611_966_358_123)));
    let payload = &received[0].payload;
    assert_eq!(payload.body(), "hello");
    assert_eq!(payload.attributes().get("text"), Some(&Attribute::string("v")));
    let bytes = payload.attributes().get("bytes").unwrap();
    assert_eq!((bytes.data_type.as_str(), &bytes.value), ("Binary.x", &AttributeValue::Binary(vec![0, 1, 255])));

    let bare = &received[1];
    assert_eq!((bare.payload.body(), bare.delivery.receive_count, bare.delivery.sent_at), ("", 1, None));
}

#[tokio::test]
async fn entries_are_numbered_and_their_results_found_by_number_in_whatever_order() {
    let answer = json!({
        "Successful": [{"Id": "3"}, {"Id": "0"}, {"Id": "77"}, {"Id": "x"}],
        "Failed": [
            {"Id": "2", "SenderFault": true, "Code": "ReceiptHandleIsInvalid", "Message": "no such"},
            {"Id": "1", "SenderFault": false, "Code": "InternalError"},
        ],
    });
    let (url, asked) = server(200, answer).await;
    let results = queue_at(&url, "q").await.delete(receipts(5)).await.unwrap();
    let failed = |sender_fault, reason: &str| Err(EntryError { sender_fault, reason: reason.to_owned() });
    let invalid = failed(true, "ReceiptHandleIsInvalid: no such");
    let unmentioned = failed(false, "the queue's answer does not mention it");
    assert_eq!(results[..], [Ok(()), failed(false, "InternalError"), invalid, Ok(()), unmentioned]);

    let (action, request) = asked.await.unwrap();
    assert_eq!(action, "deletemessagebatch");
    for (position, entry) in request["Entries"].as_array().unwrap().iter().enumerate() {
        assert_eq!(entry, &json!({"Id": position.to_string(), "ReceiptHandle": format!("r{position}")}));
    }
}

#[tokio::test]
async fn an_entry_that_can_never_succeed_is_the_senders_fault_whatever_the_answer_calls_it() {
    for code in
        ["ReceiptHandleIsInvalid", "AWS.SimpleQueueService.MessageNotInflight", "InvalidParameterValueException"]
    {
        let answer = json!({"Failed": [{"Id": "0", "SenderFault": false, "Code": code}]});
        let (url, _server) = server(200, answer).await;
        let results = queue_at(&url, "q").await.delete(receipts(1)).await.unwrap();
        assert!(results[0].as_ref().is_err_and(|error| error.sender_fault), "{code}");
    }
}

#[tokio::test]
async fn a_visibility_is_sent_in_whole_seconds_and_never_rounded_down() {
    let (url, asked) = server(200, json!({"Successful": [{"Id": "0"}, {"Id": "1"}, {"Id": "2"}]})).await;
    let times = [0, 30_000, 1].map(Duration::from_millis);
    let entries = receipts(3).into_iter().zip(times).collect();
    let results = queue_at(&url, "q").await.change_visibility(entries).await.unwrap();
    assert!(results.iter().all(Result::is_ok));
    let (action, request) = asked.await.unwrap();
    assert_eq!(action, "changemessagevisibilitybatch");
    let sent: Vec<_> = request["Entries"].as_array().unwrap().iter().map(|entry| &entry["VisibilityTimeout"]).collect();
    assert_eq!(sent, [0, 30, 1]);
}

#[tokio::test]
async fn a_rejected_message_goes_to_the_queue_of_the_policy_which_is_looked_up_once() {
    let policy = json!({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:42:dead.fifo", "maxReceiveCount": "5"});
    let answers = [
        json!({"Attributes": {"VisibilityTimeout": "30", "RedrivePolicy": policy.to_string()}}),
        json!({"QueueUrl": "http://x/42/dead.fifo"}),
        json!({"MessageId": "n", "MD5OfMessageBody": "x"}),
        json!({"MessageId": "n", "MD5OfMessageBody": "x"}),
    ];
    let (url, asked) = server_of(answers.map(|answer| (200, answer.to_string())).into()).await;
    let queue = queue_at(&url, "q.fifo").await;
    let delivery = Delivery {
        message_id: "m".into(),
        receipt: ReceiptHandle("r".to_owned()),
        receive_count: 1,
        group: Some("g".into()),
        sent_at: None,
        first_received_at: None,
    };
    let attributes = Attributes::from_iter([("bytes".to_owned(), Attribute::binary([0, 1, 255]))]);
    let payload = Arc::new(Payload::new("body".to_owned(), attributes));
    let letter = DeadLetter { delivery, payload, reason: "no such customer".to_owned() };
    queue.dead_letter(letter.clone()).await.unwrap();
    queue.dead_letter(letter).await.unwrap();

    let asked = asked.await.unwrap();
    let actions: Vec<_> = asked.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["getqueueattributes", "getqueueurl", "sendmessage", "sendmessage"]);
    assert_eq!(asked[1].1, json!({"QueueName": "dead.fifo", "QueueOwnerAWSAccountId": "42"}));
    let sent = json!({
        "QueueUrl": "http://x/42/dead.fifo", "MessageBody": "body",
        "MessageGroupId": "g", "MessageDeduplicationId": "m",
        "MessageAttributes": {
            "bytes": {"DataType": "Binary", "BinaryValue": "AAH/"},
            "reject_reason": {"DataType": "String", "StringValue": "no such customer"},
        },
    });
    assert_eq!(asked[2].1, sent);
    assert_eq!(asked[3].1, sent);
}

#[tokio::test]
async fn an_error_code_tells_what_to_look_at_and_the_message_is_stable() {
    for (code, kind) in [
        ("com.amazonaws.sqs#QueueDoesNotExist", ErrorKind::NotFound),
        ("AWS.SimpleQueueService.NonExistentQueue", ErrorKind::NotFound),
        ("AccessDenied", ErrorKind::AccessDenied),
        ("com.amazon.coral.service#AccessDeniedException", ErrorKind::AccessDenied),
        ("com.amazon.coral.service#UnrecognizedClientException", ErrorKind::AccessDenied),
        ("com.amazon.coral.service#ExpiredTokenException", ErrorKind::AccessDenied),
        ("InvalidClientTokenId", ErrorKind::AccessDenied),
        ("com.amazon.coral.service#InvalidSignatureException", ErrorKind::AccessDenied),
        ("com.amazonaws.sqs#KmsAccessDenied", ErrorKind::AccessDenied),
        ("com.amazonaws.sqs#RequestThrottled", ErrorKind::Throttled),
        ("ThrottlingException", ErrorKind::Throttled),
        ("com.amazonaws.sqs#OverLimit", ErrorKind::Throttled),
        ("InternalFailure", ErrorKind::Unavailable),
        ("com.amazonaws.sqs#UnsupportedOperation", ErrorKind::Invalid),
        ("InvalidParameterValue", ErrorKind::Invalid),
    ] {
        let error = error(400, json!({"__type": code, "message": "what is wrong"})).await;
        assert_eq!(error.kind, kind, "{code}: {error}");
        assert!(error.message.contains("what is wrong"), "{code}: {error}");
    }
}

#[tokio::test]
async fn an_answer_without_a_known_code_is_judged_by_its_status() {
    for (status, kind) in [
        (401, ErrorKind::AccessDenied),
        (403, ErrorKind::AccessDenied),
        (408, ErrorKind::Timeout),
        (413, ErrorKind::Invalid),
        (429, ErrorKind::Throttled),
        (500, ErrorKind::Unavailable),
        (502, ErrorKind::Unavailable),
        (503, ErrorKind::Unavailable),
    ] {
        for answer in ["", "{}", "<html>Bad gateway</html>", r#"{"__type":"Surprise"}"#] {
            let error = error(status, answer).await;
            assert_eq!(error.kind, kind, "{status} {answer}: {error}");
        }
    }
    assert_eq!(error(200, "no JSON").await.kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_server_that_is_not_there_or_hangs_up_is_unavailable() {
    let (url, server) = server(200, "{}").await;
    let queue = queue_at(&url, "q").await;
    queue.receive(receive()).await.unwrap();
    server.await.unwrap();
    let error = queue.receive(receive()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert!(error.message.contains("refused") || error.message.contains("connect"), "{error}");
}

#[tokio::test]
async fn missing_credentials_are_access_denied() {
    #[derive(Debug)]
    struct Missing;
    impl ProvideCredentials for Missing {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("no credentials anywhere")))
        }
    }
    let config = clients::sqs("http://127.0.0.1:9").config().to_builder().credentials_provider(Missing).build();
    let error = SqsQueue::find(config, &"q".parse().unwrap()).await.map(drop).unwrap_err();
    assert_eq!(error.kind, ErrorKind::AccessDenied, "{error}");
    assert!(error.message.contains("no credentials anywhere"), "{error}");
}

#[tokio::test]
async fn a_name_is_asked_for_as_it_is_and_an_arn_with_its_account() {
    for (address, expected) in [
        ("q.fifo", json!({"QueueName": "q.fifo"})),
        ("arn:aws:sqs:us-east-1:42:q", json!({"QueueName": "q", "QueueOwnerAWSAccountId": "42"})),
    ] {
        let (url, asked) = server(200, json!({"QueueUrl": "http://x/42/q"})).await;
        let address = address.parse().unwrap();
        let queue = SqsQueue::find(clients::sqs(&url).config().clone(), &address).await.unwrap();
        assert_eq!(queue.url(), "http://x/42/q");
        assert_eq!(asked.await.unwrap(), ("getqueueurl".to_owned(), expected));
    }
}
