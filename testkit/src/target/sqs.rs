//! SQS by its JSON protocol: requests are searched rather than parsed, and answers put together from parts made beforehand.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::state::State;

/// The queue's URL ends in this. There is one queue, whatever its name.
const QUEUE: &str = "/000000000000/messages";

/// Receipt handles of SQS are of about this length.
const HANDLE_LENGTH: usize = 400;

/// The number of a message in its ids and its receipt handle.
const DIGITS: usize = 12;

/// A message up to its number, between its numbers, and after them; with and without what is given on request.
#[derive(Debug)]
pub(super) struct Templates {
    start: String,
    end: String,
    attributes: String,
}

impl Templates {
    pub(super) fn new(body: &str) -> Self {
        let md5 = "0123456789abcdef0123456789abcdef";
        let handle = "A".repeat(HANDLE_LENGTH - DIGITS);
        Self {
            start: format!(r#"{{"Body":{},"MD5OfBody":"{md5}","ReceiptHandle":"{handle}"#, json!(body)),
            end: r#"","MessageId":"01234567-0123-0123-0123-"#.to_owned(),
            attributes: concat!(
                r#","Attributes":{"ApproximateReceiveCount":"1","SentTimestamp":"1700000000000","#,
                r#""ApproximateFirstReceiveTimestamp":"1700000000001"}"#
            )
            .to_owned(),
        }
    }
}

/// The answer to an operation, and how long it is to wait for messages that will not come.
pub(super) async fn answer(state: &State, operation: &str, request: &[u8]) -> Option<Bytes> {
    let answer = match operation {
        "GetQueueUrl" => json!({ "QueueUrl": format!("{}{QUEUE}", state.base) }).to_string(),
        "GetQueueAttributes" => json!({ "Attributes": { "VisibilityTimeout": "30" } }).to_string(),
        "ReceiveMessage" => receive(state, request).await,
        "DeleteMessageBatch" => delete(state, request),
        "ChangeMessageVisibilityBatch" => {
            state.count_request();
            let ids = entry_ids(request).map(|id| format!(r#"{{"Id":"{id}"}}"#)).collect::<Vec<_>>();
            format!(r#"{{"Successful":[{}],"Failed":[]}}"#, ids.join(","))
        }
        _ => return None,
    };
    Some(answer.into())
}

async fn receive(state: &State, request: &[u8]) -> String {
    let number = |name| number_after(request, name).unwrap_or(0);
    let numbers = state.receive(number("\"MaxNumberOfMessages\":").max(1));
    if numbers.is_empty() {
        let _waiting = state.wait_in_vain();
        tokio::time::sleep(Duration::from_secs(number("\"WaitTimeSeconds\":") as u64)).await;
        return "{}".to_owned();
    }
    let Templates { start, end, attributes } = &state.templates;
    let attributes = if memchr::memmem::find(request, b"SystemAttributeNames").is_some() { attributes } else { "" };
    let length = start.len() + end.len() + attributes.len() + 2 * DIGITS + 3;
    let mut answer = String::with_capacity(numbers.len() * length + 20);
    answer.push_str(r#"{"Messages":["#);
    for (position, number) in numbers.enumerate() {
        let number = format!("{number:0DIGITS$}");
        for part in [if position > 0 { "," } else { "" }, start, &number, end, &number, "\"", attributes, "}"] {
            answer.push_str(part);
        }
    }
    answer.push_str("]}");
    answer
}

fn delete(state: &State, request: &[u8]) -> String {
    let handles = strings_after(request, "\"ReceiptHandle\":\"");
    let numbers = handles.map(|handle| handle.get(handle.len().checked_sub(DIGITS)?..)?.parse().ok());
    let results = state.delete(numbers);
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, deleted) in entry_ids(request).zip(results) {
        if deleted {
            successful.push(format!(r#"{{"Id":"{id}"}}"#));
        } else {
            failed.push(format!(r#"{{"Id":"{id}","SenderFault":true,"Code":"ReceiptHandleIsInvalid"}}"#));
        }
    }
    format!(r#"{{"Successful":[{}],"Failed":[{}]}}"#, successful.join(","), failed.join(","))
}

fn entry_ids(request: &[u8]) -> impl Iterator<Item = &str> {
    strings_after(request, "\"Id\":\"")
}

/// The strings that begin after each of these, up to the next quote. None of ours holds one.
fn strings_after<'a>(request: &'a [u8], key: &'static str) -> impl Iterator<Item = &'a str> {
    memchr::memmem::find_iter(request, key).map(move |at| {
        let rest = &request[at + key.len()..];
        let end = memchr::memchr(b'"', rest).unwrap_or(rest.len());
        std::str::from_utf8(&rest[..end]).unwrap_or_default()
    })
}

fn number_after(request: &[u8], key: &str) -> Option<usize> {
    let rest = &request[memchr::memmem::find(request, key.as_bytes())? + key.len()..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}
