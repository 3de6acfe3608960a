//! `GET /metrics`.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::routing::get;

use super::Metrics;

const OPENMETRICS: &str = "application/openmetrics-text";

/// The route, which answers in Prometheus' text form, or as `OpenMetrics` to whoever accepts that.
pub fn routes(metrics: Metrics) -> Router {
    Router::new().route("/metrics", get(scrape)).with_state(metrics)
}

async fn scrape(State(metrics): State<Metrics>, headers: HeaderMap) -> impl IntoResponse {
    if headers.get_all(header::ACCEPT).iter().any(|accepted| accepted.to_str().is_ok_and(wants_openmetrics)) {
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        ([(header::CONTENT_TYPE, content_type)], metrics.openmetrics())
    } else {
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.prometheus())
    }
}

/// Who names `OpenMetrics`, in a version that we write, and not with a quality of zero.
fn wants_openmetrics(accepted: &str) -> bool {
    accepted.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(OPENMETRICS));
        named
            && parts.filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| match name.trim() {
                "version" => value.trim() == "1.0.0",
                "q" => value.trim().parse::<f32>().is_ok_and(|quality| quality > 0.0),
                _ => true,
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_accept_it() {
        for yes in [
            "application/openmetrics-text",
            // Prometheus 2 and 3.
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "text/plain, Application/OpenMetrics-Text; version=1.0.0",
        ] {
            assert!(wants_openmetrics(yes), "{yes}");
        }
        let no =
            ["", "*/*", "text/plain", "application/openmetrics-text;q=0", "application/openmetrics-text;version=2.0.0"];
        for no in no {
            assert!(!wants_openmetrics(no), "{no}");
        }
    }
}
