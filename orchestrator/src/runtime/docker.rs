//! Docker, by bollard.
//!
//! The only place that knows bollard: every call goes out once and comes back in our own words.

mod ask;
mod connect;
mod convert;
mod needs;
mod recreate;

use std::collections::HashMap;
use std::sync::OnceLock;

use async_trait::async_trait;
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, EndpointSettings, NetworkConnectRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, RestartContainerOptions, StartContainerOptions,
    StopContainerOptions,
};
use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream, StreamExt};

use self::needs::Needs;
use super::{LogLine, MOST_PRINTED, NoAnswer, Runtime, RuntimeError};
use crate::cluster::model::ProbeRule;
use crate::container::{Container, SERVICE, SPEC};
use crate::desired::{Original, Spec};
use crate::probes::Asker;
use crate::redact;
pub use connect::EngineTls;

/// Events of containers that change something for us. Without this filter, each run of a health check is three events.
const EVENTS: [&str; 10] =
    ["create", "start", "die", "stop", "destroy", "health_status", "rename", "pause", "unpause", "update"];

/// Events are asked for from so many seconds ago, so that none falls between a look and the stream.
const OVERLAP: i64 = 2;

/// The most bytes of a log line that are looked at.
const LONGEST_LINE: usize = 16 * 1024;

/// An engine by its address.
#[derive(Debug)]
pub struct DockerEngine {
    address: String,
    tls: Option<EngineTls>,
    client: OnceLock<Docker>,
    needs: Needs,
    asker: Asker,
}

impl DockerEngine {
    /// At `unix:///path`, `tcp://host:port` or, known by these files, `https://host:port`. Nothing is connected yet.
    #[must_use]
    pub fn new(address: String, tls: Option<EngineTls>) -> Self {
        Self { address, tls, client: OnceLock::new(), needs: Needs::default(), asker: Asker::default() }
    }

    fn client(&self) -> Result<Docker, RuntimeError> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let client = connect::connect(&self.address, self.tls.as_ref());
        let client = client.map_err(|error| RuntimeError::Unreachable(format!("{}: {error:#}", self.address)))?;
        Ok(self.client.get_or_init(|| client).clone())
    }
}

#[async_trait]
impl Runtime for DockerEngine {
    async fn ping(&self) -> Result<(), RuntimeError> {
        self.client()?.ping().await.map(drop).map_err(told)
    }

    async fn list(&self) -> Result<Vec<String>, RuntimeError> {
        let options = ListContainersOptionsBuilder::new().all(true).build();
        let found = self.client()?.list_containers(Some(options)).await.map_err(told)?;
        Ok(found.into_iter().filter_map(|container| container.id).collect())
    }

    async fn inspect(&self, id: &str) -> Result<Option<Container>, RuntimeError> {
        let found = self.client()?.inspect_container(id, None::<InspectContainerOptions>).await;
        Ok(if_there(found)?.map(convert::container))
    }

    async fn describe(&self, id: &str) -> Result<Option<Original>, RuntimeError> {
        let found = self.client()?.inspect_container(id, None::<InspectContainerOptions>).await;
        if_there(found)?.map(recreate::original).transpose()
    }

    fn events(&self) -> BoxStream<'static, Result<String, RuntimeError>> {
        let client = match self.client() {
            Ok(client) => client,
            Err(error) => return stream::once(async { Err(error) }).boxed(),
        };
        let filters = HashMap::from([("type", vec!["container"]), ("event", EVENTS.to_vec())]);
        let since = (Utc::now().timestamp() - OVERLAP).to_string();
        let options = EventsOptionsBuilder::new().since(&since).filters(&filters).build();
        // The client lives in the stream.
        let ids = client.events(Some(options)).filter_map(|event| async {
            match event {
                Ok(event) => event.actor.and_then(|actor| actor.id).map(Ok),
                Err(error) => Some(Err(told(error))),
            }
        });
        ids.boxed()
    }

    async fn start(&self, name: &str) -> Result<(), RuntimeError> {
        unless_so_already(self.client()?.start_container(name, None::<StartContainerOptions>).await)
    }

    async fn stop(&self, name: &str) -> Result<(), RuntimeError> {
        unless_so_already(self.client()?.stop_container(name, None::<StopContainerOptions>).await)
    }

    async fn restart(&self, name: &str) -> Result<(), RuntimeError> {
        self.client()?.restart_container(name, None::<RestartContainerOptions>).await.map_err(told)
    }

    async fn remove(&self, id: &str) -> Result<(), RuntimeError> {
        let options = RemoveContainerOptionsBuilder::new().v(true).build();
        match self.client()?.remove_container(id, Some(options)).await.map_err(told) {
            Err(RuntimeError::Missing(_)) => Ok(()),
            other => other,
        }
    }

    async fn create(&self, name: &str, spec: &Spec) -> Result<(), RuntimeError> {
        let unreadable =
            |error: serde_json::Error| RuntimeError::Refused(format!("what is stored can't be read: {error}"));
        let mut body: ContainerCreateBody = serde_json::from_value(spec.body.clone()).map_err(unreadable)?;
        let labels = body.labels.get_or_insert_default();
        labels.insert(SPEC.to_owned(), spec.hash.clone());
        let is_of_service = labels.contains_key(SERVICE);
        let client = self.client()?;
        if is_of_service {
            let first = body.networking_config.iter().flat_map(|config| config.endpoints_config.iter().flatten());
            let networks: Vec<_> = first.map(|(name, _)| name).chain(spec.networks.keys()).cloned().collect();
            self.needs.networks(&client, networks.into_iter()).await?;
        }
        let image = body.image.clone().unwrap_or_default();
        let created = match create(&client, name, body.clone()).await {
            Err(RuntimeError::Missing(_)) if is_of_service => {
                self.needs.image(&client, &image).await?;
                create(&client, name, body).await?
            }
            other => other?,
        };
        for (network, endpoint) in &spec.networks {
            let endpoint: EndpointSettings = serde_json::from_value(endpoint.clone()).map_err(unreadable)?;
            let request = NetworkConnectRequest { container: created.clone(), endpoint_config: Some(endpoint) };
            if let Err(error) = client.connect_network(network, request).await {
                // Or it would be adopted as it is, by its name and its hash.
                let options = RemoveContainerOptionsBuilder::new().v(true).build();
                client.remove_container(&created, Some(options)).await.map_err(told)?;
                return Err(told(error));
            }
        }
        Ok(())
    }

    async fn tail(&self, name: &str, lines: u32) -> Result<String, RuntimeError> {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let mut pieces = self.client()?.logs(name, Some(options));
        let mut printed = Vec::new();
        while let Some(piece) = pieces.next().await {
            printed.extend_from_slice(piece.map_err(told)?.as_ref());
            // Not at every piece: what is left is moved each time.
            if printed.len() > 2 * MOST_PRINTED {
                printed.drain(..printed.len() - MOST_PRINTED);
            }
        }
        Ok(last(&printed))
    }

    async fn ask(&self, container: &Container, rule: &ProbeRule) -> Result<(), NoAnswer> {
        let url = ask::url(&self.address, &container.ways, rule)?;
        self.asker.ask(url).await.map_err(NoAnswer::Failed)
    }

    fn logs(&self, id: &str, since: &str) -> BoxStream<'static, Result<LogLine, RuntimeError>> {
        let client = match self.client() {
            Ok(client) => client,
            Err(error) => return stream::once(async { Err(error) }).boxed(),
        };
        let since = DateTime::parse_from_rfc3339(since).ok().and_then(|since| i32::try_from(since.timestamp()).ok());
        let options = LogsOptionsBuilder::new().follow(true).stdout(true).stderr(true).timestamps(true);
        let options = options.since(since.unwrap_or_default()).build();
        let pieces = client.logs(id, Some(options));
        lines(pieces.boxed())
    }
}

/// The new container's id.
async fn create(client: &Docker, name: &str, body: ContainerCreateBody) -> Result<String, RuntimeError> {
    let options = CreateContainerOptionsBuilder::new().name(name).build();
    let created = client.create_container(Some(options), body).await.map_err(|error| match told(error) {
        RuntimeError::Refused(why) if why.contains("already in use") => RuntimeError::Exists(why),
        other => other,
    })?;
    Ok(created.id)
}

/// Lines out of pieces: of a container with a terminal, a piece is whatever was printed at once.
fn lines(pieces: BoxStream<'static, Result<LogOutput, Error>>) -> BoxStream<'static, Result<LogLine, RuntimeError>> {
    let split = pieces.scan(Vec::new(), |rest: &mut Vec<u8>, piece| {
        let lines: Vec<Result<LogLine, RuntimeError>> = match piece {
            Err(error) => vec![Err(told(error))],
            Ok(piece) => {
                rest.extend_from_slice(piece.as_ref());
                let mut lines = Vec::new();
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    lines.extend(line_of(&line).map(Ok));
                }
                if rest.len() > LONGEST_LINE {
                    lines.extend(line_of(rest).map(Ok));
                    rest.clear();
                }
                lines
            }
        };
        futures_util::future::ready(Some(stream::iter(lines)))
    });
    split.flatten().boxed()
}

/// The end of what was printed, from a line's beginning on if it had to be cut.
fn last(printed: &[u8]) -> String {
    // What is no UTF-8 is longer as text.
    let text = String::from_utf8_lossy(printed);
    let cut = text.len().saturating_sub(MOST_PRINTED);
    if cut == 0 {
        return text.into_owned();
    }
    let kept = (cut..text.len()).find_map(|cut| text.get(cut..)).unwrap_or_default();
    kept[kept.find('\n').map_or(0, |end| end + 1)..].to_owned()
}

/// `2026-11-21T10:00:00.123456789Z text`. What has no time is the rest of a line that was cut.
fn line_of(line: &[u8]) -> Option<LogLine> {
    let text = String::from_utf8_lossy(&line[..line.len().min(LONGEST_LINE)]);
    let (time, text) = text.trim_end().split_once(' ')?;
    let nanos = DateTime::parse_from_rfc3339(time).ok()?.timestamp_nanos_opt()?;
    Some(LogLine { nanos, text: text.to_owned() })
}

fn if_there<T>(found: Result<T, Error>) -> Result<Option<T>, RuntimeError> {
    match found.map_err(told) {
        Ok(found) => Ok(Some(found)),
        Err(RuntimeError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// 304: it was so already.
fn unless_so_already(done: Result<(), Error>) -> Result<(), RuntimeError> {
    match done {
        Err(Error::DockerResponseServerError { status_code: 304, .. }) => Ok(()),
        other => other.map_err(told),
    }
}

fn told(error: Error) -> RuntimeError {
    match error {
        Error::DockerResponseServerError { status_code: 404, message } => RuntimeError::Missing(redact::text(&message)),
        Error::DockerResponseServerError { message, .. } => RuntimeError::Refused(redact::text(&message)),
        Error::RequestTimeoutError => RuntimeError::Unreachable("no answer in time".to_owned()),
        other => {
            // The cause says what the error itself does not: refused, no such file, broken pipe.
            let mut cause: &dyn std::error::Error = &other;
            while let Some(source) = cause.source() {
                cause = source;
            }
            RuntimeError::Unreachable(redact::text(&cause.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn of_much_that_was_printed_the_last_whole_lines_are_kept() {
        assert_eq!(last(b"one\ntwo\n"), "one\ntwo\n");
        let much = format!("first\n{}\nlast\n", "x".repeat(MOST_PRINTED));
        assert_eq!(last(much.as_bytes()), "last\n");
        let one = "y".repeat(MOST_PRINTED + 7);
        assert_eq!(last(one.as_bytes()).len(), MOST_PRINTED, "a line without an end");
        let no_text = last(&vec![0xff; MOST_PRINTED]);
        assert!((MOST_PRINTED - 3..=MOST_PRINTED).contains(&no_text.len()), "{}", no_text.len());
    }

    #[tokio::test]
    async fn lines_come_whole_whatever_pieces_they_come_in() {
        let pieces = [
            "2026-11-21T10:00:00.5Z one\n2026-11-21T10:0",
            "0:01Z two words\r\n",
            "no time\n",
            "2026-11-21T10:00:02Z \n",
        ];
        let pieces = pieces.map(|text| Ok(LogOutput::Console { message: Bytes::from(text) }));
        let found: Vec<_> = lines(stream::iter(pieces).boxed()).map(Result::unwrap).collect().await;
        let texts: Vec<_> = found.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["one", "two words"]);
        assert_eq!(found[1].nanos - found[0].nanos, 500_000_000);
    }
}
