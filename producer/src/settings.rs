//! What the binary can be told, and which of it goes together.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use clap::builder::BoolishValueParser;
use upbeat_service::settings::{duration, size};

use crate::builder;
use crate::sources::http::Access;
use crate::spool::{self, Spool, SpoolError};
use crate::topic::Topic;

/// How often a message is published by default.
const INTERVAL: Duration = Duration::from_secs(2);

/// Everything that the producer can be told, each as a flag or an environment variable.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// SNS topic to publish to, by its name or its ARN; it is found, never made
    #[arg(long, env = "TOPIC", default_value = "messages", value_name = "NAME|ARN", global = true)]
    pub topic: Topic,

    /// How often to publish a JSON message with a sequence number, an id and the time; 0 is off [default: 2s]
    #[arg(long, env = "INTERVAL", value_name = "DURATION", value_parser = duration)]
    pub interval: Option<Duration>,

    /// Let whoever can reach it POST to /messages. Without this and without tokens, that is open on a loopback address
    /// only
    #[arg(long, env = "OPEN", value_parser = BoolishValueParser::new())]
    pub open: bool,

    /// Let whoever has one of the tokens in this file, one a line, POST to /messages. Read again when it changes
    #[arg(long, env = "TOKEN_FILE", value_name = "PATH")]
    pub token_file: Option<PathBuf>,

    /// Publish each line of standard input, then exit: 0 if all were published, 1 if not
    #[arg(long, env = "STDIN", value_parser = BoolishValueParser::new())]
    pub stdin: bool,

    /// Publish each line of this file, then exit: 0 if all were published, 1 if not
    #[arg(long, env = "FILE", value_name = "PATH")]
    pub file: Option<PathBuf>,

    /// For how long a message that SNS can't take now is tried again; 0 is one attempt, or `forever`
    /// [default: 30s, forever with a spool]
    #[arg(long, env = "RETRY_FOR", value_name = "DURATION")]
    pub retry_for: Option<RetryFor>,

    /// Folder for messages between their acceptance and SNS's confirmation, which are on disk then: what is accepted
    /// survives a crash, and an outage of SNS. Made if it is missing; for one producer at a time
    #[arg(long, env = "SPOOL", value_name = "FOLDER", global = true)]
    pub spool: Option<PathBuf>,

    /// How much the spool may hold, each message counting 1 KiB more than its bytes; then standard input waits and POST
    /// answers 429. The file of large messages can be twice as large
    #[arg(long, env = "SPOOL_LIMIT", default_value = "1GiB", value_name = "SIZE", global = true)]
    pub spool_limit: SpoolLimit,

    /// How long a batch waits to be filled while others are under way
    #[arg(long, env = "LINGER", default_value = "10ms", value_name = "DURATION", value_parser = duration)]
    pub linger: Duration,

    /// How many batches of up to ten messages are under way at most
    #[arg(long, env = "MAX_BATCHES_IN_FLIGHT", default_value_t = builder::MAX_IN_FLIGHT as u16, value_name = "NUMBER",
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub max_batches_in_flight: u16,

    /// How many messages a second are published at most; without it, as many as can be
    #[arg(long, env = "RATE", value_name = "NUMBER")]
    pub rate: Option<NonZeroU32>,

    /// How much may wait to be published, each message counting 1 KiB more than its bytes; then standard input waits
    /// and POST answers 429
    #[arg(long, env = "BUFFER", default_value = "16MiB", value_name = "SIZE")]
    pub buffer: Buffer,

    /// On a FIFO topic, the group of messages that name none
    #[arg(long, env = "GROUP_ID", default_value = "producer", value_name = "GROUP")]
    pub group_id: GroupId,

    /// On a FIFO topic, how many messages of a group share a batch, 1 to 10. With more than 1 a group is faster, but
    /// loses its order if SNS takes only a part of a batch
    #[arg(long, env = "GROUP_BATCH", default_value_t = 1, value_name = "NUMBER",
        value_parser = clap::value_parser!(u8).range(1..=10))]
    pub group_batch: u8,
}

/// Where messages come from, beside `POST /messages`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// From nowhere else.
    None,
    /// A message this often.
    Interval(Duration),
    /// Each line of standard input.
    Stdin,
    /// Each line of a file.
    File(PathBuf),
}

/// For how long to try again; `None` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryFor(pub Option<Duration>);

/// The size of the buffer in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer(pub u32);

/// How much a spool may hold, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolLimit(pub u64);

/// A message group that SNS takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupId(pub String);

impl Settings {
    /// Where messages come from; an error names the settings that contradict each other and what would do.
    pub fn source(&self) -> Result<Source, String> {
        let on = self.interval.filter(|interval| !interval.is_zero());
        match (self.stdin, &self.file, on) {
            (true, Some(_), _) => {
                Err("--stdin (STDIN) and --file (FILE) exclude each other; give one of them".to_owned())
            }
            (true, None, Some(_)) => Err(off("--stdin (STDIN)")),
            (false, Some(_), Some(_)) => Err(off("--file (FILE)")),
            (true, None, None) => Ok(Source::Stdin),
            (false, Some(path), None) => match path.metadata() {
                Ok(found) if found.is_dir() => Err(format!("--file (FILE) {}: a folder; give a file", path.display())),
                Ok(_) => Ok(Source::File(path.clone())),
                Err(error) => Err(format!("--file (FILE) {}: {error}; give a file that can be read", path.display())),
            },
            (false, None, _) => Ok(match self.interval.unwrap_or(INTERVAL) {
                Duration::ZERO => Source::None,
                interval => Source::Interval(interval),
            }),
        }
    }
}

impl Settings {
    /// Who may publish by HTTP, if that listens there.
    pub fn access(&self, listen: SocketAddr) -> anyhow::Result<Access> {
        ensure!(
            !self.open || self.token_file.is_none(),
            "--open (OPEN) and --token-file (TOKEN_FILE) exclude each other; give one of them"
        );
        Access::new(self.open, self.token_file.as_deref(), listen).context("--token-file (TOKEN_FILE)")
    }

    /// The spool, if there is to be one. Blocks.
    pub fn open_spool(&self) -> Result<Option<Spool>, SpoolError> {
        let Some(folder) = &self.spool else { return Ok(None) };
        let spool = Spool::open(folder, self.spool_limit.0)?;
        match spool.topic() {
            Some(known) if spool.messages() > 0 && !self.topic.may_be(&known.arn) => {
                Err(SpoolError::OtherTopic { folder: folder.clone(), messages: spool.messages(), topic: known.arn })
            }
            _ => Ok(Some(spool)),
        }
    }
}

fn off(lines: &str) -> String {
    format!("{lines} and --interval (INTERVAL) exclude each other; leave out one of them, or set the interval to 0")
}

impl Source {
    /// Whether there is an end to it, and so to the process.
    #[must_use]
    pub const fn ends(&self) -> bool {
        matches!(self, Self::Stdin | Self::File(_))
    }
}

impl FromStr for RetryFor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "forever" {
            return Ok(Self(None));
        }
        duration(text).map(|retry_for| Self(Some(retry_for))).map_err(|why| format!("{why}; or write forever"))
    }
}

impl FromStr for Buffer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = size(text)?.try_into().ok().filter(|bytes| (64 * 1024..=1024 * 1024 * 1024).contains(bytes));
        fits.map(Self).ok_or_else(|| "it must be from 64KiB to 1GiB".to_owned())
    }
}

impl FromStr for SpoolLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = Some(size(text)?).filter(|bytes| *bytes >= spool::MIN_LIMIT);
        fits.map(Self).ok_or_else(|| "it must be 4MiB at least".to_owned())
    }
}

impl FromStr for GroupId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if crate::rules::is_token(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err("it must be 1 to 128 letters, digits or punctuation marks of ASCII".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser, Debug)]
    struct Cli {
        #[command(flatten)]
        settings: Settings,
    }

    fn source_of(arguments: &[&str]) -> Result<Source, String> {
        let cli = Cli::try_parse_from(std::iter::once(&"producer").chain(arguments));
        cli.map_err(|error| error.to_string())?.settings.source()
    }

    #[test]
    fn the_defaults_publish_every_two_seconds_to_messages() {
        let settings = Cli::try_parse_from(["producer"]).unwrap().settings;
        assert_eq!(settings.source(), Ok(Source::Interval(Duration::from_secs(2))));
        assert_eq!(settings.topic.to_string(), "messages");
        assert_eq!(settings.linger, builder::LINGER);
        assert_eq!(usize::from(settings.max_batches_in_flight), builder::MAX_IN_FLIGHT);
        assert_eq!((settings.retry_for, settings.spool), (None, None));
        assert_eq!(settings.spool_limit.0, spool::LIMIT);
        assert_eq!(settings.buffer.0, builder::BUFFER);
    }

    #[test]
    fn lines_turn_the_interval_off() {
        assert_eq!(source_of(&["--stdin"]), Ok(Source::Stdin));
        assert_eq!(source_of(&["--stdin", "--interval", "0"]), Ok(Source::Stdin));
        assert_eq!(source_of(&["--file", "Cargo.toml"]), Ok(Source::File("Cargo.toml".into())));
        assert_eq!(source_of(&["--interval", "0"]), Ok(Source::None));
    }

    #[test]
    fn sources_that_exclude_each_other_are_refused_by_both_names() {
        for (arguments, names) in [
            (&["--stdin", "--file", "Cargo.toml"][..], ["--stdin", "--file"]),
            (&["--stdin", "--interval", "1s"], ["--stdin", "--interval"]),
            (&["--file", "Cargo.toml", "--interval", "1s"], ["--file", "--interval"]),
        ] {
            let why = source_of(arguments).unwrap_err();
            assert!(names.iter().all(|name| why.contains(name)), "{why}");
        }
    }

    #[test]
    fn values_that_can_not_be_right_are_refused_with_what_would_do() {
        for (flag, bad, good) in [
            ("--retry-for", "soon", "forever"),
            ("--buffer", "1", "64KiB"),
            ("--spool-limit", "1MiB", "4MiB"),
            ("--buffer", "5GiB", "1GiB"),
            ("--group-id", "a b", "128 letters"),
            ("--group-batch", "11", "1..=10"),
            ("--max-batches-in-flight", "0", "1..=1000"),
            ("--topic", "a b", "letters, digits"),
            ("--file", "/no/such/file", "a file that can be read"),
            ("--file", "/", "give a file"),
        ] {
            let why = source_of(&[flag, bad]).unwrap_err();
            assert!(why.contains(flag) && why.contains(good), "{why}");
        }
    }

    #[test]
    fn the_readme_has_every_setting_with_its_variable_and_its_default() {
        let readme = include_str!("../../README.md");
        let rows: Vec<_> = readme.lines().filter(|line| line.starts_with("| `--")).collect();
        let command = Cli::command();
        for setting in command.get_arguments().filter(|setting| setting.get_env().is_some()) {
            let (flag, variable) = (setting.get_long().unwrap(), setting.get_env().unwrap().to_str().unwrap());
            let row = format!("| `--{flag}` | `{variable}` |");
            let row = rows.iter().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("{row} is missing"));
            for default in setting.get_default_values() {
                assert!(row.contains(&format!("`{}`", default.to_str().unwrap())), "{row}: {default:?}");
            }
            let help = setting.get_help().map(ToString::to_string).unwrap_or_default();
            if let Some((_, default)) = help.split_once("[default: ") {
                let default = default.split([',', ']']).next().unwrap();
                assert!(row.contains(&format!("`{default}`")), "{row}: {default}");
            }
        }
    }

    #[test]
    fn retrying_can_be_off_limited_or_without_end() {
        let retry_for = |text: &str| text.parse::<RetryFor>().map(|retry_for| retry_for.0);
        assert_eq!(retry_for("0"), Ok(Some(Duration::ZERO)));
        assert_eq!(retry_for("5m"), Ok(Some(Duration::from_mins(5))));
        assert_eq!(retry_for("forever"), Ok(None));
    }
}
