//! The yardstick: loops of receive, handle and delete over the SDK with its defaults, and nothing else. No lease is extended,
//! no failure looked at, no end is orderly.

use std::sync::Arc;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use futures_util::future::join_all;
use upbeat_testkit::bench::Client;

use crate::work::Work;

pub(crate) const NAME: &str = "raw SDK loop";

pub(crate) async fn consume(client: Client) {
    let work = Work::of(&client);
    // The SDK's own default, with the only TLS library that is here.
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::from_env().http_client(http).timeout_config(TimeoutConfig::disabled()).load().await;
    let sqs = aws_sdk_sqs::Client::new(&config);
    let url = sqs.get_queue_url().queue_name("messages").send().await.unwrap().queue_url.unwrap();
    let client = Arc::new(client);
    let loops = (0..work.loops).map(|_| tokio::spawn(one_loop(Arc::clone(&client), work, sqs.clone(), url.clone())));
    for ended in join_all(loops).await {
        ended.unwrap();
    }
}

async fn one_loop(client: Arc<Client>, work: Work, sqs: aws_sdk_sqs::Client, url: String) {
    loop {
        let receive = sqs.receive_message().queue_url(&url).max_number_of_messages(10).wait_time_seconds(20);
        let messages = receive.send().await.unwrap().messages.unwrap_or_default();
        if messages.is_empty() {
            continue;
        }
        for handled in join_all(messages.iter().map(|message| work.handle(&client, message.body().unwrap()))).await {
            handled.unwrap();
        }
        let entries = messages.into_iter().enumerate().map(|(position, message)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(position.to_string());
            entry.set_receipt_handle(message.receipt_handle).build().unwrap()
        });
        let delete = sqs.delete_message_batch().queue_url(&url).set_entries(Some(entries.collect()));
        assert!(delete.send().await.unwrap().failed.is_empty());
    }
}
