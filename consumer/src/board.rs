//! What a person is shown of a consumer.

use upbeat_service::board::{Board, Failures, Of, Panel, Series, Unit};

/// The figures of the page and of the terminal view.
pub static BOARD: Board = Board {
    panels: &[
        Panel {
            title: "Messages",
            unit: Unit::Rate,
            series: &[
                Series::new("received", Of::Rate, "messaging_client_consumed_messages_total"),
                Series::new("deleted", Of::Rate, "sqs_deletes_total").only("outcome", &["ok"]),
                Series::new("failed", Of::Rate, "consumer_handler_outcomes_total").only("outcome", FAILED),
            ],
        },
        Panel {
            title: "In flight",
            unit: Unit::Count,
            series: &[
                Series::new("handling", Of::Now, "sqs_in_flight_messages").only("state", &["handling"]),
                Series::new("waiting", Of::Now, "sqs_in_flight_messages").only("state", &["waiting"]),
                Series::new("settling", Of::Now, "sqs_in_flight_messages").only("state", &["deleting", "releasing"]),
            ],
        },
        Panel {
            title: "Process time",
            unit: Unit::Seconds,
            series: &[
                Series::new("p50", Of::Quantile(0.5), "messaging_process_duration_seconds"),
                Series::new("p99", Of::Quantile(0.99), "messaging_process_duration_seconds"),
            ],
        },
        Panel {
            title: "Oldest message",
            unit: Unit::Seconds,
            series: &[Series::new("age", Of::Now, "sqs_oldest_message_age_seconds")],
        },
        Panel {
            title: "Queue",
            unit: Unit::Count,
            series: &[
                Series::new("visible", Of::Now, "sqs_queue_messages").only("state", &["visible"]),
                Series::new("in flight", Of::Now, "sqs_queue_messages").only("state", &["in_flight"]),
                Series::new("delayed", Of::Now, "sqs_queue_messages").only("state", &["delayed"]),
            ],
        },
        Panel {
            title: "Dead letters",
            unit: Unit::Count,
            series: &[Series::new("in the queue", Of::Now, "sqs_dlq_messages")],
        },
    ],
    failures: &[
        Failures { what: "handler", metric: "consumer_handler_outcomes_total", label: "outcome", fine: &["done"] },
        Failures { what: "delete", metric: "sqs_deletes_total", label: "outcome", fine: &["ok"] },
        Failures { what: "lease", metric: "sqs_visibility_extensions_total", label: "outcome", fine: &["ok"] },
        Failures { what: "request to AWS", metric: "aws_requests_total", label: "outcome", fine: &["ok"] },
    ],
};

/// What is no success of a handler.
const FAILED: &[&str] = &["retry", "reject", "failed", "panicked", "lock_lost", "deadline", "shutdown"];
