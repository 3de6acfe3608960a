//! What a service's container needs on its node: an image, which is pulled, and networks, which are made.
//!
//! One pull of an image at a time, which all who need it wait for. It goes on when nobody waits any more: an engine gives
//! up a pull, and what it has got of it, with the connection, so that one that takes longer than anybody waits would
//! begin anew for ever.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::models::NetworkCreateRequest;
use bollard::query_parameters::{CreateImageOptionsBuilder, InspectNetworkOptions};
use futures_util::future::{BoxFuture, FutureExt, Shared};
use futures_util::stream::StreamExt;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use super::{if_there, told};
use crate::container::OURS;
use crate::runtime::RuntimeError;

/// How long a pull may say nothing.
const SILENCE: Duration = Duration::from_mins(3);

/// What is being got, by what it is.
#[derive(Debug, Default)]
pub(super) struct Needs(Mutex<HashMap<String, Outcome>>);

type Outcome = Shared<BoxFuture<'static, Result<(), RuntimeError>>>;

impl Needs {
    /// Pulls the image.
    pub(super) async fn image(&self, client: &Docker, image: &str) -> Result<(), RuntimeError> {
        let (client, image) = (client.clone(), image.to_owned());
        self.once(&format!("image {image}"), async move { pull(&client, &image).await }).await
    }

    /// Makes the networks that are missing.
    pub(super) async fn networks(
        &self,
        client: &Docker,
        networks: impl Iterator<Item = String>,
    ) -> Result<(), RuntimeError> {
        for name in networks {
            let (client, key) = (client.clone(), format!("network {name}"));
            // Engines before version 25 take two of one name if they are asked for both at once.
            self.once(&key, async move { make(&client, &name).await }).await?;
        }
        Ok(())
    }

    /// How this ends, or the same that was begun before and goes on.
    async fn once(
        &self,
        key: &str,
        work: impl Future<Output = Result<(), RuntimeError>> + Send + 'static,
    ) -> Result<(), RuntimeError> {
        let outcome = {
            let mut going = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            going.retain(|_, outcome| outcome.peek().is_none());
            let begin = || {
                let task = AbortOnDropHandle::new(tokio::spawn(work));
                let ended = async { task.await.unwrap_or_else(|error| Err(RuntimeError::Refused(error.to_string()))) };
                ended.boxed().shared()
            };
            going.entry(key.to_owned()).or_insert_with(begin).clone()
        };
        outcome.await
    }
}

async fn pull(client: &Docker, image: &str) -> Result<(), RuntimeError> {
    // Without a tag, all tags would be pulled.
    let name = if image.contains('@') || tagged(image) { image.to_owned() } else { format!("{image}:latest") };
    info!(image, "pulling");
    let options = CreateImageOptionsBuilder::new().from_image(&name).build();
    let mut progress = client.create_image(Some(options), None, None).boxed();
    loop {
        match timeout(SILENCE, progress.next()).await {
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => {
                let why = format!("{image} is not there and can't be pulled: {}", told(error));
                return Err(RuntimeError::Refused(why));
            }
            Ok(None) => break,
            Err(_) => return Err(RuntimeError::Unreachable(format!("the pull of {image} says nothing"))),
        }
    }
    info!(image, "pulled");
    Ok(())
}

/// A colon before the last slash is a port's.
fn tagged(image: &str) -> bool {
    image.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

async fn make(client: &Docker, name: &str) -> Result<(), RuntimeError> {
    if if_there(client.inspect_network(name, None::<InspectNetworkOptions>).await)?.is_some() {
        return Ok(());
    }
    let labels = HashMap::from([(format!("{OURS}.network"), String::new())]);
    let request = NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        labels: Some(labels),
        ..NetworkCreateRequest::default()
    };
    match client.create_network(request).await.map_err(told) {
        Ok(_) => info!(network = name, "made"),
        Err(RuntimeError::Refused(why)) if why.contains("already exists") => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
