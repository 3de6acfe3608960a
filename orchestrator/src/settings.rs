//! What the binary can be told, and which of it goes together.

mod agent;
mod door;
mod engine;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use regex::Regex;
use upbeat_service::settings::positive_duration;

pub use agent::AgentSettings;
pub use door::{Door, DoorSettings};
pub use engine::{EngineSettings, is_remote};
pub use server::ServerSettings;

use crate::allow::{AllowList, Pattern};
use crate::control::Options;
use crate::desired::Protected;
use crate::itself::own_id;
use crate::probes::Probe;
use crate::readers::LogPolicy;
use crate::severity::Severity;

/// The address that is listened on unless another is given: nobody else's business.
pub const LISTEN: &str = "127.0.0.1:8080";

/// Where a server is reached: `https://HOST:PORT`.
///
/// # Errors
/// With what would do, if it is something else.
pub(crate) fn https_url(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let uri: Option<axum::http::Uri> = text.parse().ok();
    let fits = uri.is_some_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some() && uri.path() == "/");
    if fits { Ok(text.to_owned()) } else { Err("write https://HOST:PORT, such as https://10.0.0.1:8443".to_owned()) }
}

/// Everything that the orchestrator can be told, each as a flag or an environment variable.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Start, stop and restart containers. Without it, what would be done is said, and nothing done
    #[arg(long, env = "ENFORCE", value_parser = BoolishValueParser::new())]
    pub enforce: bool,

    /// What is looked after.
    #[command(flatten)]
    pub target: Target,

    /// How often everything is looked at, a tenth more or less, whatever events tell
    #[arg(long, env = "RESYNC", default_value = "30s", value_name = "DURATION", value_parser = positive_duration)]
    pub resync: Duration,

    /// Restart a container that does not answer three times in a row: NAME=URL, by HTTP; several after commas
    #[arg(long, env = "PROBE", value_name = "LIST", value_delimiter = ',')]
    pub probe: Vec<Probe>,

    /// How often probes ask
    #[arg(long, env = "PROBE_INTERVAL", default_value = "10s", value_name = "DURATION", value_parser = positive_duration)]
    pub probe_interval: Duration,

    /// How long the answer to a probe may take
    #[arg(long, env = "PROBE_TIMEOUT", default_value = "5s", value_name = "DURATION", value_parser = positive_duration)]
    pub probe_timeout: Duration,

    /// Restart a container that prints several lines at or above this level
    #[arg(long, env = "RESTART_ON_LOG", value_name = "LEVEL")]
    pub restart_on_log: Option<Severity>,

    /// So many lines
    #[arg(long, env = "LOG_LINES", default_value = "5", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    pub log_lines: u16,

    /// within this time
    #[arg(long, env = "LOG_WITHIN", default_value = "1m", value_name = "DURATION", value_parser = positive_duration)]
    pub log_within: Duration,

    /// and no sooner after the last restart for that
    #[arg(long, env = "LOG_COOL_DOWN", default_value = "5m", value_name = "DURATION", value_parser = positive_duration)]
    pub log_cool_down: Duration,

    /// Where the level is in a line: a regular expression with a group `level`, or of lines that are errors. Without it:
    /// JSON, syslog, logfmt, or a word in capitals
    #[arg(long, env = "LOG_PATTERN", value_name = "REGEX")]
    pub log_pattern: Option<Regex>,

    /// How other machines reach it, and who may ask for what.
    #[command(flatten)]
    pub door: DoorSettings,
}

/// Which host, and what is wanted of it.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// Only these may run: names and image patterns such as web,redis:7-*. Without it, what ran at the first start is
    /// what is to run: the snapshot
    #[arg(long, env = "ALLOW", value_name = "LIST", value_delimiter = ',')]
    pub allow: Option<Vec<Pattern>>,

    /// Never stop these: names and image patterns, besides the orchestrator itself and LocalStack
    #[arg(long, env = "PROTECT", value_name = "LIST", value_delimiter = ',')]
    pub protect: Vec<Pattern>,

    /// The engine.
    #[command(flatten)]
    pub engine: EngineSettings,

    /// Folder for the snapshot, the allow list and what is held. It has secrets in it: the containers' environment
    #[arg(long, env = "STATE", default_value = "/var/lib/upbeat-orchestrator", value_name = "FOLDER")]
    pub state: PathBuf,
}

impl Target {
    /// What the loop is to do, if it looks so often.
    #[must_use]
    pub fn options(&self, enforce: bool, resync: Duration) -> Options {
        let protected = Protected { own_id: own_id(), patterns: self.protect.clone() };
        let allow = self.allow.clone().map(AllowList::new);
        Options { enforce, allow, assigned: None, protected, resync }
    }
}

impl Settings {
    /// What the loop is to do.
    #[must_use]
    pub fn options(&self) -> Options {
        self.target.options(self.enforce, self.resync)
    }

    /// Which log lines ask for a restart.
    #[must_use]
    pub fn logs(&self) -> Option<LogPolicy> {
        self.restart_on_log.map(|severity| LogPolicy {
            severity,
            lines: self.log_lines.into(),
            within: self.log_within,
            cool_down: self.log_cool_down,
            pattern: self.log_pattern.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        settings: Settings,
    }

    #[test]
    fn docs_have_every_setting_with_its_variable_and_its_default() {
        let (one_host, several) = (include_str!("../../docs/ORCHESTRATOR.md"), include_str!("../../docs/CLUSTER.md"));
        compare(&Cli::command(), one_host, "## Settings");
        compare(&ServerSettings::augment_args(clap::Command::new("server")), several, "### The server");
        compare(&AgentSettings::augment_args(clap::Command::new("agent")), several, "### The agent");
    }

    /// The settings of a command, and the table under this heading.
    fn compare(command: &clap::Command, docs: &str, heading: &str) {
        let section =
            docs.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with('#'));
        let rows: Vec<_> = section.filter(|line| line.starts_with("| `--")).collect();
        let settings: Vec<_> = command.get_arguments().filter(|setting| setting.get_env().is_some()).collect();
        assert_eq!(settings.len(), rows.len(), "{heading}");
        for setting in settings {
            let (flag, variable) = (setting.get_long().unwrap(), setting.get_env().unwrap().to_str().unwrap());
            let row = format!("| `--{flag}` | `{variable}` |");
            let row = rows.iter().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("{row} is missing"));
            for default in setting.get_default_values() {
                assert!(row.contains(&format!("`{}`", default.to_str().unwrap())), "{row}: {default:?}");
            }
        }
    }

    #[test]
    fn values_that_can_not_be_right_are_refused_with_what_would_do() {
        for (flag, bad, good) in [
            ("--allow", "a b", "redis:7-*"),
            ("--engine", "/var/run/docker.sock", "unix:///var/run/docker.sock"),
            ("--probe", "web", "web=http://"),
            ("--resync", "0", "20s"),
            ("--restart-on-log", "loud", "error"),
            ("--log-lines", "0", "1..=65535"),
            ("--log-pattern", "(", "regex"),
        ] {
            let why = Cli::try_parse_from(["orchestrator", flag, bad]).unwrap_err().to_string();
            assert!(why.contains(flag) && why.contains(good), "{why}");
        }
    }

    #[derive(Debug, Parser)]
    struct ServerCli {
        #[command(flatten)]
        _settings: ServerSettings,
    }

    #[test]
    fn a_server_is_one_of_several_where_the_others_reach_it_by_tls() {
        let all = ["--tls-listen", "[::]:8443", "--advertise", "https://a.example:8443", "--join", "https://b.example"];
        let parse = |arguments: &[&str]| ServerCli::try_parse_from(["server"].iter().chain(arguments));
        parse(&all).unwrap();
        for (arguments, good) in [
            (&["--tls-listen", "[::]:8443", "--advertise", "http://a.example:8443"][..], "write https://HOST:PORT"),
            (&["--tls-listen", "[::]:8443", "--advertise", "https://a.example/x"], "write https://HOST:PORT"),
            (&all[2..4], "--tls-listen"),
            (&[&all[..2], &all[4..]].concat(), "--advertise"),
        ] {
            let why = parse(arguments).unwrap_err().to_string();
            assert!(why.contains(good), "{why}");
        }
    }

    #[test]
    fn tls_to_the_engine_and_its_files_go_together() {
        let check = |arguments: &[&str]| {
            let arguments = ["orchestrator"].iter().chain(arguments);
            Cli::try_parse_from(arguments).unwrap().settings.target.engine.check().map_err(|error| error.to_string())
        };
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&["--engine", "https://h:2376", "--engine-tls", "/certs"]), Ok(()));
        for bad in [&["--engine", "https://h:2376"][..], &["--engine-tls", "/certs"]] {
            let why = check(bad).unwrap_err();
            assert!(why.contains("--engine-tls") && why.contains("https://"), "{why}");
        }
    }

    #[test]
    fn an_empty_allow_list_is_no_list() {
        assert!(Cli::try_parse_from(["orchestrator", "--allow", ""]).is_err());
        assert!(Cli::try_parse_from(["orchestrator"]).unwrap().settings.target.allow.is_none());
    }
}
