//! Settings common to all services, and how durations and sizes are written.

use std::net::SocketAddr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Command, Parser, ValueEnum};

/// What every service can be told, each as a flag or an environment variable.
#[derive(Args, Clone, Debug)]
pub struct ServiceSettings {
    /// Address and port of the page, /metrics, /health and /ready
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:5000", value_name = "ADDRESS:PORT", global = true)]
    pub listen: SocketAddr,

    /// How log events are written to standard output
    #[arg(long, env = "LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// Show bodies of messages on the page, to whoever can reach it
    #[arg(long, env = "PAGE_BODIES")]
    pub page_bodies: bool,

    /// How long a stop may take from the first SIGTERM or Ctrl-C to the exit
    #[arg(long, env = "DRAIN_TIMEOUT", default_value = "30s", value_name = "DURATION", value_parser = positive_duration)]
    pub drain_timeout: Duration,
}

/// How log events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people: time, level, what happened, `name=value` fields.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Reads the command line and the environment, or ends the process: exit code 0 after `--help` and
/// `--version`, 2 with one line on standard error where a setting can't be right.
#[must_use]
pub fn parse<C: Parser>() -> C {
    parse_as(C::command())
}

/// As [`parse`], with a command that was changed: another default, for a service that wants one.
#[must_use]
pub fn parse_as<C: Parser>(command: Command) -> C {
    let parsed = command.try_get_matches().and_then(|mut matches| C::from_arg_matches_mut(&mut matches));
    parsed.unwrap_or_else(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            error.exit()
        }
        _ => refuse(one_line(&error.render().to_string())),
    })
}

/// Ends the process with exit code 2: a setting can't be right, and `reason` says what would be.
pub fn refuse(reason: impl std::fmt::Display) -> ! {
    eprintln!("error: {reason}");
    std::process::exit(2)
}

/// Clap's report without its usage and its hint at `--help`, on one line.
fn one_line(report: &str) -> String {
    let text = report.strip_prefix("error: ").unwrap_or(report);
    let text = text.split("\n\nUsage:").next().unwrap_or(text);
    let text = text.split("\n\nFor more information").next().unwrap_or(text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Reads `20s`, `500ms`, `2m`, `1h 30m`; a bare number is seconds.
///
/// ```
/// use std::time::Duration;
/// use upbeat_service::settings::duration;
/// assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
/// assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
/// assert!(duration("soon").is_err());
/// ```
pub fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .or_else(|| humantime::parse_duration(text).ok())
        .ok_or_else(|| "write a duration such as 500ms, 20s or 2m; a bare number is seconds".to_owned())
}

/// As [`duration`], where zero makes no sense.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be more than 0, such as 500ms, 20s or 2m".to_owned()),
        positive => Ok(positive),
    }
}

/// Reads `64KiB`, `1MiB`, `10kB`; a bare number is bytes. The value is in bytes.
///
/// ```
/// use upbeat_service::settings::size;
/// assert_eq!(size("64KiB"), Ok(65_536));
/// assert!(size("big").is_err());
/// ```
pub fn size(text: &str) -> Result<u64, String> {
    let size = text.parse::<bytesize::ByteSize>();
    size.map(|size| size.as_u64()).map_err(|_| "write a size such as 64KiB or 1MiB; a bare number is bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_seconds_and_a_unit_is_obeyed() {
        assert_eq!(duration("20"), Ok(Duration::from_secs(20)));
        assert_eq!(duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn a_negative_endless_or_wordy_duration_is_refused_with_what_would_do() {
        for bad in ["-1", "inf", "NaN", "1e300", "", "soon", "20 parsecs"] {
            assert!(duration(bad).is_err_and(|why| why.contains("20s")), "{bad}");
        }
        assert!(positive_duration("0").is_err());
    }

    #[test]
    fn a_refused_setting_is_told_on_one_line_with_what_would_do() {
        #[derive(Parser, Debug)]
        struct Cli {
            #[command(flatten)]
            service: ServiceSettings,
        }
        let report = Cli::try_parse_from(["x", "--log-format", "xml"]).map(|cli| cli.service.listen);
        let report = one_line(&report.unwrap_err().render().to_string());
        assert!(report.contains("--log-format") && report.contains("text, json"), "{report}");
        assert!(!report.contains('\n') && !report.contains("--help"), "{report}");
    }
}
