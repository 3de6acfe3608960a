//! Prometheus' older text form, for whoever does not read `OpenMetrics`.
//!
//! The library writes `OpenMetrics` only. The two differ in what is said of a family: there its name is without the suffix of
//! its samples, here it is the samples' own; and there are types that are not known here.

use std::fmt::Write;

/// The same metrics in version 0.0.4.
pub(super) fn prometheus(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len() + 1024);
    let mut help = None;
    for line in openmetrics.lines() {
        if let Some(about) = line.strip_prefix("# HELP ") {
            help = about.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|about| about.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            // Writing to a string does not fail.
            if let Some((_, help)) = help.take() {
                let _ = writeln!(text, "# HELP {name}{suffix} {help}");
            }
            let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with("# UNIT ") {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_named_as_their_samples_are() {
        let openmetrics = "# HELP seen Seen.\n# TYPE seen counter\nseen_total 1\n\
            # HELP build What runs.\n# TYPE build info\nbuild_info{version=\"1\"} 1\n\
            # HELP age_seconds Age.\n# TYPE age_seconds histogram\n# UNIT age_seconds seconds\nage_seconds_sum 1.0\n";
        let expected = "# HELP seen_total Seen.\n# TYPE seen_total counter\nseen_total 1\n\
            # HELP build_info What runs.\n# TYPE build_info gauge\nbuild_info{version=\"1\"} 1\n\
            # HELP age_seconds Age.\n# TYPE age_seconds histogram\nage_seconds_sum 1.0\n";
        assert_eq!(prometheus(openmetrics), expected);
    }
}
