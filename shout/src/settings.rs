//! What the binary can be told.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use redis::IntoConnectionInfo;
use upbeat_service::Endpoint;
use upbeat_service::settings::{positive_duration, size};

/// Everything that shout can be told, each as a flag or an environment variable.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Who capitalises: the URL of a service that answers POST URL/V1/SHOUT. Without one, this service does it by itself
    #[arg(long, env = "UPSTREAM", value_name = "URL", value_parser = upstream)]
    pub upstream: Option<Endpoint>,

    /// How long the upstream may take to answer one try
    #[arg(long, env = "UPSTREAM_TIMEOUT", default_value = "2s", value_name = "DURATION",
        value_parser = positive_duration)]
    pub upstream_timeout: Duration,

    /// How often the upstream is asked for the same, as far as the deadline allows
    #[arg(long, env = "UPSTREAM_TRIES", default_value_t = 8, value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..=100))]
    pub upstream_tries: u32,

    /// How many requests to the upstream are under way at most
    #[arg(long, env = "UPSTREAM_CONCURRENCY", default_value_t = 64, value_name = "NUMBER",
        value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub upstream_concurrency: u16,

    /// How many more wait for their turn, or for another try; beyond that the answer is 503 at once
    #[arg(long, env = "UPSTREAM_QUEUE", default_value_t = 256, value_name = "NUMBER",
        value_parser = clap::value_parser!(u16).range(0..=60_000))]
    pub upstream_queue: u16,

    /// After how many failures of the upstream in a row it is not asked for a while, 1 s at first; 0 is never
    #[arg(long, env = "BREAKER_THRESHOLD", default_value_t = 20, value_name = "NUMBER")]
    pub breaker_threshold: u32,

    /// How long a request may take in all
    #[arg(long, env = "DEADLINE", default_value = "10s", value_name = "DURATION", value_parser = positive_duration)]
    pub deadline: Duration,

    /// Where answers are kept: memory, none, or the URL of a Redis, which replicas share
    #[arg(long, env = "CACHE", default_value = "memory", value_name = "memory|none|URL")]
    pub cache: Keep,

    /// How much memory the answers in it may take; Redis has a limit of its own
    #[arg(long, env = "CACHE_SIZE", default_value = "64MiB", value_name = "SIZE", value_parser = size)]
    pub cache_size: u64,

    /// How long an answer is kept
    #[arg(long, env = "CACHE_TTL", default_value = "1h", value_name = "DURATION", value_parser = positive_duration)]
    pub cache_ttl: Duration,

    /// How large the body of a request may be
    #[arg(long, env = "MAX_BODY", default_value = "1MiB", value_name = "SIZE", value_parser = max_body)]
    pub max_body: usize,
}

/// Where answers are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Keep {
    /// Nowhere.
    None,
    /// In this process.
    Memory,
    /// In Redis, at this URL, which may hold a password.
    Redis(String),
}

impl Settings {
    /// `Err` says which settings contradict each other, and what would do.
    pub fn check(&self) -> Result<(), String> {
        if self.upstream.is_some() && self.upstream_timeout > self.deadline {
            return Err(format!(
                "--upstream-timeout (UPSTREAM_TIMEOUT) {:?} is longer than --deadline (DEADLINE) {:?}, within which all \
                 tries have to end; make it shorter, such as {:?}",
                self.upstream_timeout,
                self.deadline,
                self.deadline / 5
            ));
        }
        Ok(())
    }
}

fn upstream(url: &str) -> Result<Endpoint, String> {
    let wanted = "write a URL such as http://127.0.0.1:8080 or https://api.example.com/text, without a query";
    let endpoint: Endpoint = url.parse().map_err(|_| wanted.to_owned())?;
    if endpoint.uri().query().is_some() { Err(wanted.to_owned()) } else { Ok(endpoint) }
}

fn max_body(text: &str) -> Result<usize, String> {
    match usize::try_from(size(text)?) {
        Ok(bytes @ 1..=0x0400_0000) => Ok(bytes),
        _ => Err("it must be from 1 to 64MiB".to_owned()),
    }
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "memory" => Ok(Self::Memory),
            // The reason is not told, since it may repeat what is secret.
            url if url.contains("://") && url.into_connection_info().is_ok() => Ok(Self::Redis(url.to_owned())),
            _ => {
                Err("write memory, none, or a URL such as redis://127.0.0.1:6379 or rediss://:password@host/0"
                    .to_owned())
            }
        }
    }
}

/// Without what may be secret.
impl fmt::Debug for Keep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "none",
            Self::Memory => "memory",
            Self::Redis(_) => "redis",
        })
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

    #[test]
    fn the_readme_has_every_setting_with_its_variable_and_its_default_and_no_other() {
        let readme = include_str!("../../README.md");
        let table = readme.split("| shout | variable |").nth(1).unwrap();
        let table: Vec<_> = table.lines().skip(1).take_while(|line| line.starts_with('|')).skip(1).collect();
        let command = Cli::command();
        let settings: Vec<_> = command.get_arguments().filter(|setting| setting.get_env().is_some()).collect();
        for setting in &settings {
            let (flag, variable) = (setting.get_long().unwrap(), setting.get_env().unwrap().to_str().unwrap());
            let row = format!("| `--{flag}` | `{variable}` |");
            let row = table.iter().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("{row} is missing"));
            for default in setting.get_default_values() {
                assert!(row.contains(&format!("`{}`", default.to_str().unwrap())), "{row}: {default:?}");
            }
        }
        assert_eq!(table.len(), settings.len(), "{table:?}");
    }

    #[test]
    fn what_is_secret_is_shown_nowhere() {
        let url = "rediss://user:hunter2@localhost:6380/1";
        let arguments = ["shout", "--cache", url, "--upstream", "http://me:hunter2@localhost"];
        let settings = Cli::try_parse_from(arguments).unwrap().settings;
        assert_eq!(settings.cache, Keep::Redis(url.to_owned()));
        assert!(!format!("{settings:?}").contains("hunter2"));
        let refused = Cli::try_parse_from(["shout", "--cache", "redis://:hunter2@["]).unwrap_err().to_string();
        assert!(refused.contains("write memory, none, or a URL"), "{refused}");
    }
}
