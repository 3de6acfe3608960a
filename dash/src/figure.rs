//! A figure as a person writes it.

use upbeat_service::board::Unit;

/// The figure with its unit; a dash where there is none.
#[must_use]
pub fn written(value: Option<f64>, unit: Unit) -> String {
    let Some(value) = value else { return "–".to_owned() };
    match unit {
        Unit::Count => short(value),
        Unit::Rate => format!("{}/s", short(value)),
        Unit::Seconds => {
            scaled(value, &[(1e-3, "ms"), (1.0, "s"), (60.0, "min"), (3600.0, "h")], &[1.0, 120.0, 7200.0])
        }
        Unit::Bytes => {
            let mi = 1024.0 * 1024.0;
            scaled(value, &[(1.0, "B"), (1024.0, "KiB"), (mi, "MiB"), (mi * 1024.0, "GiB")], &[1024.0, mi, mi * 1024.0])
        }
    }
}

/// In the unit of the last threshold that it has reached.
fn scaled(value: f64, units: &[(f64, &str); 4], thresholds: &[f64; 3]) -> String {
    let reached = thresholds.iter().filter(|threshold| value >= **threshold).count();
    let (size, unit) = units[reached];
    format!("{} {unit}", short(value / size))
}

/// Three digits where there is a fraction, all of them where there is none.
fn short(value: f64) -> String {
    let digits: usize = match value.abs() {
        whole if whole >= 100.0 || whole.fract() == 0.0 => 0,
        tens if tens >= 10.0 => 1,
        ones if ones >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_three_digits_and_a_fitting_unit() {
        let cases = [
            (Some(1234.0), Unit::Count, "1234"),
            (Some(12.345), Unit::Rate, "12.3/s"),
            (Some(0.0), Unit::Rate, "0/s"),
            (Some(0.0123), Unit::Seconds, "12.3 ms"),
            (Some(1.5), Unit::Seconds, "1.50 s"),
            (Some(600.0), Unit::Seconds, "10 min"),
            (Some(64.0 * 1024.0), Unit::Bytes, "64 KiB"),
            (None, Unit::Bytes, "–"),
        ];
        for (value, unit, text) in cases {
            assert_eq!(written(value, unit), text);
        }
    }
}
