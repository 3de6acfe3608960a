//! A topic that was there once, and is not to be reached at the start: with a spool, messages are accepted all the same.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};
use upbeat_service::{Service, connect};

use crate::app;
use crate::batch::Batch;
use crate::publisher::{Description, Fault, Publisher, Receipts};
use crate::sns::Sns;
use crate::topic::Topic;

/// What a spool remembers of the topic that its messages are for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Known {
    pub(crate) arn: String,
    name: String,
    fifo: bool,
    content_based_deduplication: bool,
    max_bytes: usize,
}

/// Publishes once the topic has been found; until then every call fails with what stands in its way.
#[derive(Clone, Debug)]
pub(crate) struct Later {
    description: Description,
    found: Arc<OnceLock<Sns>>,
    reason: Arc<Mutex<String>>,
}

impl Known {
    pub(crate) fn new(sns: &Sns) -> Self {
        let Description { name, fifo, content_based_deduplication, max_bytes } = sns.describe();
        Self { arn: sns.arn().to_owned(), name: name.to_string(), fifo, content_based_deduplication, max_bytes }
    }
}

impl Later {
    /// The topic as it was; `reason` is why it is not there now.
    pub(crate) fn new(known: Known, reason: String) -> Self {
        let Known { name, fifo, content_based_deduplication, max_bytes, .. } = known;
        let description = Description { name: name.into(), fifo, content_based_deduplication, max_bytes };
        Self { description, found: Arc::default(), reason: Arc::new(Mutex::new(reason)) }
    }

    /// Looks for the topic until it is found or the service is to stop.
    pub(crate) async fn find(&self, topic: &Topic, service: &Service, condition: &'static str) {
        let found = connect(service, condition, async |config| {
            let found = app::find(topic, config, service).await;
            if let Err(error) = &found {
                *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = format!("{error:#}");
            }
            found
        });
        if let Some(sns) = Box::pin(found).await {
            // It is looked for once.
            drop(self.found.set(sns));
        }
    }
}

impl Publisher for Later {
    fn describe(&self) -> Description {
        self.description.clone()
    }

    async fn publish_batch(&self, batch: &Batch) -> Result<Receipts, Fault> {
        match self.found.get() {
            Some(sns) => sns.publish_batch(batch).await,
            None => Err(Fault::unavailable(self.reason.lock().unwrap_or_else(PoisonError::into_inner).as_str())),
        }
    }
}
