//! What a person is shown of an orchestrator.

use upbeat_service::board::{Board, Failures, Of, Panel, Series, Unit};

/// The figures of the page.
pub static BOARD: Board = Board {
    panels: &[
        Panel {
            title: "Containers",
            unit: Unit::Count,
            series: &[
                Series::new("up", Of::Now, "orchestrator_containers").only("state", &["up"]),
                Series::new("down", Of::Now, "orchestrator_containers").only("state", &["down"]),
                Series::new("missing", Of::Now, "orchestrator_containers").only("state", &["missing"]),
            ],
        },
        Panel {
            title: "Not as wanted",
            unit: Unit::Count,
            series: &[
                Series::new("due", Of::Now, "orchestrator_waiting").only("what", &["due"]),
                Series::new("later", Of::Now, "orchestrator_waiting").only("what", &["later"]),
                Series::new("degraded", Of::Now, "orchestrator_waiting").only("what", &["degraded"]),
                Series::new("held", Of::Now, "orchestrator_waiting").only("what", &["held"]),
            ],
        },
        Panel {
            title: "Done to containers",
            unit: Unit::Rate,
            series: &[
                Series::new("started", Of::Rate, "orchestrator_actions_total").only("action", &["start", "create"]),
                Series::new("restarted", Of::Rate, "orchestrator_actions_total").only("action", &["restart"]),
                Series::new("stopped", Of::Rate, "orchestrator_actions_total").only("action", &["stop"]),
            ],
        },
    ],
    failures: &[Failures { what: "actions", metric: "orchestrator_actions_total", label: "outcome", fine: &["ok"] }],
};

/// The figures of a server's page.
pub static CLUSTER_BOARD: Board = Board {
    panels: &[
        Panel {
            title: "Replicas",
            unit: Unit::Count,
            series: &[
                Series::new("wanted", Of::Now, "orchestrator_replicas").only("what", &["wanted"]),
                Series::new("ready", Of::Now, "orchestrator_replicas").only("what", &["ready"]),
                Series::new("placed", Of::Now, "orchestrator_replicas").only("what", &["placed"]),
                Series::new("waiting for a node", Of::Now, "orchestrator_replicas").only("what", &["waiting"]),
            ],
        },
        Panel {
            title: "Nodes",
            unit: Unit::Count,
            series: &[
                Series::new("up", Of::Now, "orchestrator_nodes").only("status", &["up"]),
                Series::new("suspect", Of::Now, "orchestrator_nodes").only("status", &["suspect"]),
                Series::new("lost", Of::Now, "orchestrator_nodes").only("status", &["lost"]),
            ],
        },
        Panel {
            title: "Replicas changed",
            unit: Unit::Rate,
            series: &[
                Series::new("placed", Of::Rate, "orchestrator_changes_total").only("change", &["placed"]),
                Series::new("retired", Of::Rate, "orchestrator_changes_total").only("change", &["retired"]),
                Series::new("gone", Of::Rate, "orchestrator_changes_total").only("change", &["gone"]),
            ],
        },
    ],
    failures: &[],
};
