//! What a person is shown of a producer.

use upbeat_service::board::{Board, Failures, Of, Panel, Series, Unit};

/// The figures of the page and of the terminal view.
pub static BOARD: Board = Board {
    panels: &[
        Panel {
            title: "Messages",
            unit: Unit::Rate,
            series: &[
                Series::new("accepted", Of::Rate, "producer_accepted_messages_total"),
                Series::new("published", Of::Rate, "messaging_client_sent_messages_total").only("error_type", &[""]),
                Series::new("refused", Of::Rate, "producer_refused_messages_total"),
            ],
        },
        Panel {
            title: "Waiting",
            unit: Unit::Count,
            series: &[
                Series::new("in the buffer", Of::Now, "producer_buffer_messages"),
                Series::new("on the disk", Of::Now, "producer_spool_messages"),
            ],
        },
        Panel {
            title: "Accepted to published",
            unit: Unit::Seconds,
            series: &[
                Series::new("p50", Of::Quantile(0.5), "producer_publish_delay_seconds"),
                Series::new("p99", Of::Quantile(0.99), "producer_publish_delay_seconds"),
            ],
        },
        Panel {
            title: "Oldest on the disk",
            unit: Unit::Seconds,
            series: &[Series::new("age", Of::Now, "producer_spool_oldest_message_age_seconds")],
        },
        Panel {
            title: "Calls to SNS",
            unit: Unit::Count,
            series: &[Series::new("under way", Of::Now, "producer_batches_in_flight")],
        },
        Panel {
            title: "Put aside",
            unit: Unit::Count,
            series: &[Series::new("dead letters", Of::Now, "producer_spool_dead_letters")],
        },
    ],
    failures: &[
        Failures { what: "not taken", metric: "producer_refused_messages_total", label: "error_type", fine: &[] },
        Failures {
            what: "not published",
            metric: "messaging_client_sent_messages_total",
            label: "error_type",
            fine: &[""],
        },
        Failures { what: "request to AWS", metric: "aws_requests_total", label: "outcome", fine: &["ok"] },
    ],
};
