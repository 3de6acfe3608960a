//! How grave a log line is.
//!
//! By what is found first: a pattern of the operator's, JSON (`level`, `severity`, `lvl`, `log.level`, `@level`; words or
//! the numbers of pino and bunyan), syslog's `<PRI>`, logfmt (`level=error`), or one of the level words in capitals among
//! the first of a line, as most loggers for people write it.

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// How grave, from the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// What only developers want to know.
    Debug,
    /// What happened.
    Info,
    /// What the program handles itself.
    Warn,
    /// What failed.
    Error,
    /// What ends the program.
    Fatal,
}

/// Among so many words of a line a level is looked for.
const FIRST_WORDS: usize = 6;

/// How grave this line is, if it says so. Of a pattern, the group `level` is the level; a match without one is an error.
#[must_use]
pub fn severity(line: &str, pattern: Option<&Regex>) -> Option<Severity> {
    if let Some(pattern) = pattern {
        let captures = pattern.captures(line)?;
        return match captures.name("level") {
            Some(level) => word(level.as_str()),
            None => Some(Severity::Error),
        };
    }
    let line = line.trim_start();
    if line.starts_with('{') {
        return serde_json::from_str(line).ok().and_then(|value| of_json(&value));
    }
    of_syslog(line).or_else(|| of_logfmt(line)).or_else(|| of_words(line))
}

fn of_json(line: &Value) -> Option<Severity> {
    let keys = ["level", "severity", "lvl", "log.level", "@level", "levelname"];
    let level = keys.iter().find_map(|key| line.get(*key)).or_else(|| line.get("log")?.get("level"))?;
    match level {
        Value::String(text) => word(text),
        // pino and bunyan: 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal.
        Value::Number(number) => match number.as_u64()? {
            60.. => Some(Severity::Fatal),
            50.. => Some(Severity::Error),
            40.. => Some(Severity::Warn),
            30.. => Some(Severity::Info),
            _ => Some(Severity::Debug),
        },
        _ => None,
    }
}

/// RFC 5424 and 3164: facility × 8 + severity.
fn of_syslog(line: &str) -> Option<Severity> {
    let priority: u8 = line.strip_prefix('<')?.split_once('>')?.0.parse().ok().filter(|priority| *priority < 192)?;
    Some(match priority % 8 {
        0..=2 => Severity::Fatal,
        3 => Severity::Error,
        4 => Severity::Warn,
        5 | 6 => Severity::Info,
        _ => Severity::Debug,
    })
}

fn of_logfmt(line: &str) -> Option<Severity> {
    line.split_whitespace().find_map(|field| {
        let (key, value) = field.split_once('=')?;
        ["level", "lvl", "severity"].contains(&key).then(|| word(value.trim_matches('"'))).flatten()
    })
}

fn of_words(line: &str) -> Option<Severity> {
    let words =
        line.split_whitespace().take(FIRST_WORDS).map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()));
    words.filter(|word| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase())).find_map(word)
}

fn word(text: &str) -> Option<Severity> {
    Some(match text.trim().to_ascii_lowercase().as_str() {
        "trace" | "debug" | "verbose" => Severity::Debug,
        "info" | "information" | "notice" => Severity::Info,
        "warn" | "warning" => Severity::Warn,
        "error" | "err" | "severe" => Severity::Error,
        "fatal" | "critical" | "crit" | "panic" | "alert" | "emerg" | "emergency" => Severity::Fatal,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_found_in_each_of_the_common_forms() {
        for (line, expected) in [
            (r#"{"level":"error","msg":"x"}"#, Some(Severity::Error)),
            (r#"{"severity":"WARNING","msg":"error"}"#, Some(Severity::Warn)),
            (r#"{"level":50,"msg":"x"}"#, Some(Severity::Error)),
            (r#"{"log":{"level":"fatal"}}"#, Some(Severity::Fatal)),
            (r#"{"msg":"error"}"#, None),
            ("{not json ERROR", None),
            ("<11>1 2026-11-21T10:00:00Z host app - - - it failed", Some(Severity::Error)),
            ("<999>x", None),
            (r#"time=x level=error msg="level=info""#, Some(Severity::Error)),
            (r#"lvl="warn" msg=x"#, Some(Severity::Warn)),
            ("2026-11-21T10:00:00Z ERROR x: failed", Some(Severity::Error)),
            ("2026-11-21 10:00:00 [FATAL] failed", Some(Severity::Fatal)),
            ("[error] nothing of ours", None),
            ("there was no error at all", None),
            ("", None),
        ] {
            assert_eq!(severity(line, None), expected, "{line}");
        }
    }

    #[test]
    fn a_pattern_decides_alone() {
        let with_level = Regex::new(r"^(?<level>\w+):").unwrap();
        assert_eq!(severity("Warning: x", Some(&with_level)), Some(Severity::Warn));
        assert_eq!(severity("ERROR x", Some(&with_level)), None);
        let plain = Regex::new("out of memory").unwrap();
        assert_eq!(severity("we are out of memory", Some(&plain)), Some(Severity::Error));
    }
}
