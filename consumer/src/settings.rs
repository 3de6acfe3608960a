//! The settings of the `consumer` binary: each is a flag and an environment variable.

mod handler;

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use upbeat_service::ServiceSettings;
use upbeat_service::settings::{duration, positive_duration, size};

pub use handler::{BuiltIn, HandlerName, HandlerSettings};

use crate::options::Options;
use crate::queue::sqs::QueueAddress;
use crate::tools::Tool;

/// Long-polls an SQS queue, handles each message (by default: logs its contents) and deletes it.
///
/// Region, credentials and endpoint come from AWS's own variables: `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`, `AWS_ENDPOINT_URL` and so on. What is missing is waited for. `RUST_LOG` sets what is logged.
///
/// Exit codes: 0 everything taken was finished or given back, 1 it was not, 2 a setting can't be right, 130 a second signal.
#[derive(Debug, Parser)]
#[command(name = "consumer", version, max_term_width = 100)]
pub struct Settings {
    /// What every service can be told.
    #[command(flatten)]
    pub service: ServiceSettings,

    /// What the consumer can be told.
    #[command(flatten)]
    pub consumer: ConsumerSettings,

    /// What to do instead of consuming.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of consuming.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Ask the consumer that runs by the same settings whether it is up: exit code 0 or 1
    Healthcheck,
    /// Look at the queue, or put it right.
    #[command(flatten)]
    Tool(Tool),
}

/// What the consumer can be told.
#[derive(Args, Clone, Debug)]
pub struct ConsumerSettings {
    /// Queue to consume: a name, a URL or an ARN
    #[arg(long, env = "QUEUE", default_value = "messages", value_name = "QUEUE", global = true)]
    pub queue: QueueAddress,

    /// What is done with each message.
    #[command(flatten)]
    pub handler: HandlerSettings,

    /// Most messages in flight [default: 10 × cores]
    #[arg(long, env = "CONCURRENCY", value_name = "MESSAGES")]
    concurrency: Option<usize>,

    /// Most bytes of messages in flight
    #[arg(long, env = "MAX_IN_FLIGHT_BYTES", default_value = "64MiB", value_name = "SIZE", value_parser = size)]
    max_in_flight_bytes: u64,

    /// How long a receive waits for a message, at most 20s
    #[arg(long, env = "WAIT_TIME", default_value = "20s", value_name = "DURATION", value_parser = duration)]
    wait_time: Duration,

    /// How long a message is received for; extended while it is handled
    #[arg(long, env = "LEASE", default_value = "30s", value_name = "DURATION", value_parser = positive_duration)]
    lease: Duration,

    /// How long a receive waits for room for ten messages, and a delete for nine others
    #[arg(long, env = "MAX_BATCH_WAIT", default_value = "1s", value_name = "DURATION", value_parser = duration)]
    max_batch_wait: Duration,

    /// How long a handler may take, at most 12h
    #[arg(long, env = "HANDLER_TIMEOUT", default_value = "11h 55m", value_name = "DURATION", value_parser = positive_duration)]
    handler_timeout: Duration,

    /// How long a receive that waits may go on after a stop; as long as the wait time, and no message is ever
    /// left to wait for its lease
    #[arg(long, env = "POLL_GRACE", default_value = "1s", value_name = "DURATION", value_parser = duration)]
    poll_grace: Duration,

    /// Wait before the second try of a message that failed; it doubles with the tries
    #[arg(long, env = "RETRY_FIRST", default_value = "1s", value_name = "DURATION", value_parser = duration)]
    retry_first: Duration,

    /// Longest wait before another try
    #[arg(long, env = "RETRY_LONGEST", default_value = "15m", value_name = "DURATION", value_parser = duration)]
    retry_longest: Duration,

    /// Pause receiving after so many failures of handlers in a row, 0 for never
    #[arg(long, env = "BREAKER_THRESHOLD", default_value = "10", value_name = "FAILURES")]
    breaker_threshold: u32,

    /// How often the queue and its dead-letter queue are asked how many messages they hold, for /metrics; 0 for never
    #[arg(long, env = "QUEUE_METRICS_INTERVAL", default_value = "30s", value_name = "DURATION", value_parser = duration)]
    queue_metrics_interval: Duration,
}

impl Settings {
    /// The same as the library's [`Options`].
    #[must_use]
    pub fn options(&self) -> Options {
        let consumer = &self.consumer;
        Options {
            concurrency: consumer.concurrency.unwrap_or(Options::default().concurrency),
            max_in_flight_bytes: consumer.max_in_flight_bytes,
            wait: consumer.wait_time,
            lease: consumer.lease,
            max_batch_wait: consumer.max_batch_wait,
            handler_timeout: consumer.handler_timeout,
            poll_grace: consumer.poll_grace,
            drain_timeout: self.service.drain_timeout,
            retry_first: consumer.retry_first,
            retry_longest: consumer.retry_longest,
            breaker_threshold: consumer.breaker_threshold,
            queue_metrics_interval: consumer.queue_metrics_interval,
        }
    }

    /// `Err` names the settings that contradict each other, and what would do.
    pub fn check(&self) -> Result<(), String> {
        self.options().check().map_err(|error| error.to_string())?;
        self.consumer.handler.check(self.consumer.handler_timeout)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_library() {
        let settings = Settings::try_parse_from(["consumer"]).unwrap();
        assert_eq!(settings.options(), Options::default());
        assert_eq!(settings.options().check(), Ok(()));
    }

    #[test]
    fn options_that_contradict_each_other_are_refused_with_what_would_do() {
        let refusal = |arguments: &[&str]| {
            let settings = Settings::try_parse_from([&["consumer"], arguments].concat()).unwrap();
            settings.options().check().unwrap_err().to_string()
        };
        let grace = refusal(&["--poll-grace", "30s", "--drain-timeout", "20s"]);
        assert!(grace.contains("--poll-grace") && grace.contains("--drain-timeout"), "{grace}");
        assert!(refusal(&["--wait-time", "21s"]).contains("20s"));
        assert!(refusal(&["--wait-time", "500ms"]).contains("whole seconds"));
        assert!(refusal(&["--concurrency", "0"]).contains("at least 1"));
        assert!(refusal(&["--lease", "13h"]).contains("12h"));
        assert!(refusal(&["--handler-timeout", "13h"]).contains("12h"));
        assert!(refusal(&["--retry-first", "1h"]).contains("--retry-longest"));
        assert!(refusal(&["--max-in-flight-bytes", "1KiB"]).contains("1MiB"));
    }

    #[test]
    fn the_readme_has_every_setting_with_its_variable_and_its_default() {
        let readme = include_str!("../../README.md");
        let rows: Vec<_> = readme.lines().filter(|line| line.starts_with("| `--")).collect();
        let command = Settings::command();
        for setting in command.get_arguments().filter(|setting| setting.get_env().is_some()) {
            let (flag, variable) = (setting.get_long().unwrap(), setting.get_env().unwrap().to_str().unwrap());
            let row = format!("| `--{flag}` | `{variable}` |");
            let row = rows.iter().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("{row} is missing"));
            for default in setting.get_default_values().iter().filter(|_| !setting.is_hide_default_value_set()) {
                assert!(row.contains(&format!("`{}`", default.to_str().unwrap())), "{row}: {default:?}");
            }
        }
    }
}
