//! What a person is shown of shout.

use upbeat_service::board::{Board, Failures, Of, Panel, Series, Unit};

/// The figures of the page and of the terminal view.
pub static BOARD: Board = Board {
    panels: &[
        Panel {
            title: "Requests",
            unit: Unit::Rate,
            series: &[
                Series::new("answered", Of::Rate, "shout_http_requests_total").only("code", &["200"]),
                Series::new("refused", Of::Rate, "shout_http_requests_total")
                    .only("code", &["400", "408", "413", "422"]),
                Series::new("failed", Of::Rate, "shout_http_requests_total").only("code", &["502", "503", "504"]),
            ],
        },
        Panel {
            title: "Time to the answer",
            unit: Unit::Seconds,
            series: &[
                Series::new("p50", Of::Quantile(0.5), "shout_duration_seconds"),
                Series::new("p99", Of::Quantile(0.99), "shout_duration_seconds"),
            ],
        },
        Panel {
            title: "Looked for in the cache",
            unit: Unit::Rate,
            series: &[
                Series::new("found", Of::Rate, "shout_cache_lookups_total").only("outcome", &["hit"]),
                Series::new("made", Of::Rate, "shout_cache_lookups_total").only("outcome", &["miss"]),
                Series::new("shared", Of::Rate, "shout_cache_lookups_total").only("outcome", &["shared"]),
            ],
        },
        Panel {
            title: "Kept in memory",
            unit: Unit::Bytes,
            series: &[Series::new("answers", Of::Now, "shout_cache_bytes")],
        },
        Panel {
            title: "Texts for the upstream",
            unit: Unit::Count,
            series: &[
                Series::new("under way", Of::Now, "shout_upstream_calls").only("state", &["under_way"]),
                Series::new("waiting", Of::Now, "shout_upstream_calls").only("state", &["waiting"]),
            ],
        },
        Panel {
            title: "The upstream's time",
            unit: Unit::Seconds,
            series: &[
                Series::new("p50", Of::Quantile(0.5), "shout_upstream_duration_seconds"),
                Series::new("p99", Of::Quantile(0.99), "shout_upstream_duration_seconds"),
            ],
        },
    ],
    failures: &[
        Failures { what: "not answered", metric: "shout_http_requests_total", label: "code", fine: &["200"] },
        Failures { what: "try of the upstream", metric: "shout_upstream_tries_total", label: "outcome", fine: &["ok"] },
        Failures { what: "upstream not asked", metric: "shout_upstream_rejected_total", label: "reason", fine: &[] },
        Failures { what: "Redis", metric: "shout_redis_errors_total", label: "operation", fine: &[] },
    ],
};
