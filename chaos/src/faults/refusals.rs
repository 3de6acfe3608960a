//! A front to LocalStack of whose batches some entries fail, which LocalStack's own never do.
//!
//! Such an entry is taken out of the request, so that it has truly not been carried out, and put among the failed ones of the
//! response. At least one of a batch is left, and a batch of one is left alone.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use fastrand::Rng;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// More than a batch of SNS or SQS may have.
const LARGEST: usize = 4 << 20;

/// One entry in so many fails.
const ONE_IN: u8 = 3;

const SNS_ENTRY: &str = "PublishBatchRequestEntries.member.";

/// The front, until it is dropped.
#[derive(Debug)]
pub(super) struct Refusals {
    url: String,
    front: Arc<Front>,
    _end: DropGuard,
}

#[derive(Debug)]
struct Front {
    upstream: String,
    client: Client<HttpConnector, Body>,
    rng: Mutex<Rng>,
    /// By operation.
    refused: watch::Sender<BTreeMap<String, usize>>,
}

impl Refusals {
    pub(super) async fn start(upstream: &str, rng: Rng) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen in LocalStack's place")?;
        let url = format!("http://{}", listener.local_addr()?);
        let client = Client::builder(TokioExecutor::new()).build_http();
        let refused = watch::Sender::default();
        let front = Arc::new(Front { upstream: upstream.to_owned(), client, rng: Mutex::new(rng), refused });
        let end = CancellationToken::new();
        let served = axum::serve(listener, Router::new().fallback(pass_on).with_state(front.clone())).into_future();
        let ended = end.clone();
        tokio::spawn(async move { ended.run_until_cancelled(served).await });
        Ok(Self { url, front, _end: end.drop_guard() })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Waits until so many entries were refused.
    pub(super) async fn wait(&self, count: usize) {
        let mut refused = self.front.refused.subscribe();
        // Fails if the front is gone, which it is not.
        let _ = refused.wait_for(|refused| refused.values().sum::<usize>() >= count).await;
    }

    /// How many of which.
    pub(super) fn told(&self) -> String {
        let refused = self.front.refused.borrow();
        let told: Vec<_> = refused.iter().map(|(operation, count)| format!("{count} of {operation}")).collect();
        format!("entries that failed alone: {}", told.join(", "))
    }
}

async fn pass_on(State(front): State<Arc<Front>>, request: Request) -> Result<Response, StatusCode> {
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, LARGEST).await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    let batch = front.take_out(&parts.headers, &body);
    let body = batch.as_ref().map_or(body, |batch| batch.left.clone());
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = format!("{}{path}", front.upstream).parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    forget_length(&mut parts.headers);
    let answer = front.client.request(Request::from_parts(parts, Body::from(body))).await;
    let (mut parts, body) = answer.map_err(|_| StatusCode::BAD_GATEWAY)?.into_parts();
    let mut body = to_bytes(Body::new(body), LARGEST).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    if let Some(batch) = batch.filter(|_| parts.status.is_success()) {
        body = batch.told(&body).ok_or(StatusCode::BAD_GATEWAY)?;
        let count = batch.refused.len();
        front.refused.send_modify(|refused| *refused.entry(batch.operation).or_default() += count);
    }
    forget_length(&mut parts.headers);
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn forget_length(headers: &mut HeaderMap) {
    for header in [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION] {
        headers.remove(header);
    }
}

/// A batch without those of its entries that fail.
#[derive(Debug, PartialEq)]
struct Batch {
    operation: String,
    left: Bytes,
    refused: Vec<String>,
}

impl Front {
    /// Of a batch of more than one entry, if any of them is to fail.
    fn take_out(&self, headers: &HeaderMap, body: &[u8]) -> Option<Batch> {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let fails = || rng.u8(..ONE_IN) == 0;
        let batch = match headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
            Some(target) => of_sqs(target, body, fails),
            None => Some(of_sns(body, fails)),
        };
        batch.filter(|batch| !batch.refused.is_empty())
    }
}

/// The places of those that fail, of so many; one at least does not.
fn places(count: usize, mut fails: impl FnMut() -> bool) -> Vec<bool> {
    (0..count).map(|place| fails() && place > 0).collect()
}

fn of_sqs(target: &str, body: &[u8], fails: impl FnMut() -> bool) -> Option<Batch> {
    let operation = target.strip_prefix("AmazonSQS.").filter(|operation| operation.ends_with("Batch"))?;
    let mut request: Value = serde_json::from_slice(body).ok()?;
    let entries = request["Entries"].as_array_mut()?;
    let places = places(entries.len(), fails);
    let (mut refused, mut places) = (Vec::new(), places.into_iter());
    entries.retain(|entry| {
        let fails = places.next().unwrap_or_default();
        refused.extend(entry["Id"].as_str().filter(|_| fails).map(str::to_owned));
        !fails
    });
    Some(Batch { operation: operation.to_owned(), left: request.to_string().into(), refused })
}

fn of_sns(body: &[u8], fails: impl FnMut() -> bool) -> Batch {
    let (mut others, mut entries) = (Vec::new(), BTreeMap::<usize, Vec<(String, String)>>::new());
    for (name, value) in form_urlencoded::parse(body) {
        let entry = name.strip_prefix(SNS_ENTRY).and_then(|rest| rest.split_once('.'));
        match entry.and_then(|(number, field)| Some((number.parse().ok()?, field))) {
            Some((number, field)) => entries.entry(number).or_default().push((field.to_owned(), value.into_owned())),
            None => others.push((name, value)),
        }
    }
    let places = places(entries.len(), fails);
    let (mut refused, mut number) = (Vec::new(), 0);
    let mut left = form_urlencoded::Serializer::new(String::new());
    left.extend_pairs(others);
    for (fields, fails) in entries.into_values().zip(places) {
        if fails {
            refused.extend(fields.into_iter().find(|(name, _)| name == "Id").map(|(_, id)| id));
        } else {
            number += 1;
            left.extend_pairs(fields.iter().map(|(name, value)| (format!("{SNS_ENTRY}{number}.{name}"), value)));
        }
    }
    Batch { operation: "PublishBatch".to_owned(), left: left.finish().into(), refused }
}

impl Batch {
    /// The response to what was left of it, with the rest as failed; `None` if it is none.
    fn told(&self, response: &[u8]) -> Option<Bytes> {
        if self.operation != "PublishBatch" {
            let mut response: Value = serde_json::from_slice(response).ok()?;
            let failed = self.refused.iter().map(|id| json!({"Id": id, "Code": "InternalError", "SenderFault": false}));
            let all = response["Failed"].as_array().cloned().unwrap_or_default();
            response["Failed"] = all.into_iter().chain(failed).collect();
            return Some(response.to_string().into());
        }
        let response = std::str::from_utf8(response).ok()?;
        // An element that is empty, in any of its forms, or none at all.
        let response = ["<Failed/>", "<Failed />", "<Failed></Failed>"]
            .into_iter()
            .fold(response.to_owned(), |response, empty| response.replace(empty, ""));
        let mut failed = "<Failed>".to_owned();
        for id in &self.refused {
            // Writing to a string can't fail.
            let _ = write!(
                failed,
                "<member><Id>{id}</Id><Code>InternalError</Code><SenderFault>false</SenderFault></member>"
            );
        }
        failed.push_str("</Failed></PublishBatchResult>");
        response.contains("</PublishBatchResult>").then(|| response.replace("</PublishBatchResult>", &failed).into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]

    use super::*;

    #[test]
    fn entries_of_sqs_are_taken_out_and_told_as_failed() {
        let request = br#"{"QueueUrl":"q","Entries":[{"Id":"0"},{"Id":"1"},{"Id":"2"}]}"#;
        let batch = of_sqs("AmazonSQS.DeleteMessageBatch", request, || true).unwrap();
        assert_eq!(batch.refused, ["1", "2"]);
        assert_eq!(serde_json::from_slice::<Value>(&batch.left).unwrap()["Entries"], json!([{"Id": "0"}]));
        let told = batch.told(br#"{"Successful":[{"Id":"0"}]}"#).unwrap();
        let told: Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["Failed"][1], json!({"Id": "2", "Code": "InternalError", "SenderFault": false}));
        assert_eq!(of_sqs("AmazonSQS.ReceiveMessage", request, || true), None);
    }

    #[test]
    fn entries_of_sns_are_taken_out_the_others_renumbered_and_the_failed_ones_told() {
        let member = |n, field, value| format!("&{SNS_ENTRY}{n}.{field}={value}");
        let request = format!(
            "Action=PublishBatch{}{}{}{}",
            member(1, "Id", "a"),
            member(2, "Id", "b"),
            member(3, "Id", "c"),
            member(3, "Message", "%26+%C3%A9")
        );
        let mut second = [false, true, false].into_iter();
        let batch = of_sns(request.as_bytes(), || second.next().unwrap());
        assert_eq!(batch.refused, ["b"]);
        let left = format!(
            "Action=PublishBatch{}{}{}",
            member(1, "Id", "a"),
            member(2, "Id", "c"),
            member(2, "Message", "%26+%C3%A9")
        );
        assert_eq!(batch.left, left);
        let told = batch.told(b"<r><PublishBatchResult><Successful/><Failed /></PublishBatchResult></r>").unwrap();
        assert!(told.starts_with(b"<r><PublishBatchResult><Successful/><Failed><member><Id>b</Id>"), "{told:?}");
        assert!(told.ends_with(b"</member></Failed></PublishBatchResult></r>"), "{told:?}");
    }

    #[test]
    fn the_first_entry_never_fails_so_that_a_batch_of_one_is_left_alone() {
        assert_eq!(places(3, || true), [false, true, true]);
        assert_eq!(places(1, || true), [false]);
    }
}
