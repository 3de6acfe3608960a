//! A health check, as the engine takes it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::request::{FieldError, HealthRequest, HealthTest};
use crate::cluster::values;

/// The shortest times that the engine takes.
const LEAST: Duration = Duration::from_millis(1);

pub(super) fn check(health: &HealthRequest) -> Result<Value, FieldError> {
    let HealthRequest { test, interval, timeout, retries, start_period } = health;
    let test = match test {
        HealthTest::Line(line) if line.is_empty() => Err("say what is run"),
        HealthTest::Line(line) => Ok(vec!["CMD-SHELL".to_owned(), line.clone()]),
        HealthTest::Words(words) => match words.first().map(String::as_str) {
            Some("NONE") if words.len() == 1 => Ok(words.clone()),
            Some("CMD") if words.len() > 1 => Ok(words.clone()),
            Some("CMD-SHELL") if words.len() == 2 => Ok(words.clone()),
            _ => Err("write a line, [\"CMD\", program, …], [\"CMD-SHELL\", line] or [\"NONE\"]"),
        },
    };
    let test = test.map_err(|why| FieldError::new("health.test", why))?;
    if *retries == Some(0) {
        return Err(FieldError::new("health.retries", "1 is the least"));
    }
    Ok(json!({
        "Test": test,
        "Interval": nanos("health.interval", interval.as_ref())?,
        "Timeout": nanos("health.timeout", timeout.as_ref())?,
        "Retries": retries.unwrap_or_default(),
        "StartPeriod": nanos("health.start_period", start_period.as_ref())?,
    }))
}

/// 0 is what the image says, or else Docker's own default.
fn nanos(field: &str, text: Option<&String>) -> Result<u64, FieldError> {
    let Some(text) = text else { return Ok(0) };
    let duration = values::duration(text).map_err(|why| FieldError::new(field, why))?;
    let nanos = u64::try_from(duration.as_nanos()).ok().filter(|nanos| i64::try_from(*nanos).is_ok());
    match nanos {
        Some(nanos) if duration >= LEAST || (duration.is_zero() && field == "health.start_period") => Ok(nanos),
        _ => Err(FieldError::new(field, format!("{text:?}: 1ms is the least, and a few years are the most"))),
    }
}
