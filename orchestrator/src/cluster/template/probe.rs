//! An HTTP probe, as nodes take it. What is left out is as the settings of one host have it.

use std::time::Duration;

use axum::http::uri::PathAndQuery;

use crate::cluster::model::ProbeRule;
use crate::cluster::request::{FieldError, ProbeRequest};
use crate::cluster::values;

/// What a container may be asked at most, and how long it may take: each wait is a task and a connection.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_INTERVAL: Duration = Duration::from_hours(1);
const LEAST_TIMEOUT: Duration = Duration::from_millis(10);
const LONGEST_TIMEOUT: Duration = Duration::from_mins(1);

/// The longest path that is asked for.
const LONGEST_PATH: usize = 1024;

pub(super) fn rule(probe: &ProbeRequest, networks: &[String]) -> Result<ProbeRule, FieldError> {
    let ProbeRequest { port, path, interval, timeout } = probe;
    if *port == 0 {
        return Err(FieldError::new("probe.port", "1 to 65535"));
    }
    if networks.iter().any(|network| network == "none") {
        return Err(FieldError::new("probe", "nobody can ask a container on network none"));
    }
    let path = path.as_deref().unwrap_or("/");
    let is_path = path.starts_with('/') && path.len() <= LONGEST_PATH && !path.contains('#');
    if !is_path || path.parse::<PathAndQuery>().is_err() {
        return Err(FieldError::new("probe.path", "write a path, such as /health"));
    }
    let interval = within("probe.interval", interval.as_deref().unwrap_or("10s"), LEAST_INTERVAL, LONGEST_INTERVAL)?;
    let timeout = within("probe.timeout", timeout.as_deref().unwrap_or("5s"), LEAST_TIMEOUT, LONGEST_TIMEOUT)?;
    Ok(ProbeRule { port: *port, path: path.to_owned(), interval, timeout })
}

fn within(field: &str, text: &str, least: Duration, most: Duration) -> Result<Duration, FieldError> {
    let duration = values::duration(text).map_err(|why| FieldError::new(field, why))?;
    let fits = (least..=most).contains(&duration);
    let why = || format!("{text:?}: {} to {}", values::written(least), values::written(most));
    if fits { Ok(duration) } else { Err(FieldError::new(field, why())) }
}
