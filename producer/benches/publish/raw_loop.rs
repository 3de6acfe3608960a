//! The yardstick: loops of `PublishBatch` over the SDK with its defaults, and nothing else. No message has an id, none is
//! checked, none is tried again alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_config::timeout::TimeoutConfig;
use aws_sdk_sns::types::PublishBatchRequestEntry;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use futures_util::future::join_all;
use upbeat_testkit::bench::Client;

use crate::work::Work;

pub(crate) const NAME: &str = "raw SDK loop";

const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:messages";

pub(crate) async fn publish(client: Client, work: Work) {
    // The SDK's own default, with the only TLS library that is here.
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::from_env().http_client(http).timeout_config(TimeoutConfig::disabled()).load().await;
    let sns = aws_sdk_sns::Client::new(&config);
    if work.loops == 0 {
        return one_by_one(&client, &work, &sns).await;
    }
    let shared = Arc::new((client, AtomicUsize::new(work.messages)));
    let loops = (0..work.loops).map(|_| tokio::spawn(one_loop(Arc::clone(&shared), work.clone(), sns.clone())));
    for ended in join_all(loops).await {
        ended.unwrap();
    }
}

async fn one_by_one(client: &Client, work: &Work, sns: &aws_sdk_sns::Client) {
    for _ in 0..work.messages {
        sns.publish().topic_arn(TOPIC).message(work.body.clone()).send().await.unwrap();
        client.handled();
    }
}

async fn one_loop(shared: Arc<(Client, AtomicUsize)>, work: Work, sns: aws_sdk_sns::Client) {
    let (client, left) = &*shared;
    let take = |left: usize| (left > 0).then(|| left.saturating_sub(work.batch()));
    while let Ok(left) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
        let entries = (0..left.min(work.batch())).map(|position| {
            let entry = PublishBatchRequestEntry::builder().id(position.to_string()).message(work.body.clone());
            entry.build().unwrap()
        });
        let publish = sns.publish_batch().topic_arn(TOPIC).set_publish_batch_request_entries(Some(entries.collect()));
        let answer = publish.send().await.unwrap();
        assert!(answer.failed().is_empty());
        answer.successful().iter().for_each(|_| client.handled());
    }
}
