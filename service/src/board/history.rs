//! The figures of the last quarter of an hour, of one scrape after the other.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use super::scrape::{Reading, Scrape};
use super::{Board, Of, Series};

/// How long is looked back.
const KEPT: Duration = Duration::from_mins(15);

/// Over how long a rate or a quantile is taken: a message every few seconds is to look steady.
const WINDOW: Duration = Duration::from_secs(10);

/// What is known of a service, and was.
#[derive(Debug)]
pub struct History {
    series: Vec<&'static Series>,
    /// The readings of the last window, the oldest first.
    readings: VecDeque<(SystemTime, Vec<Option<Reading>>)>,
    points: VecDeque<Point>,
}

/// All figures at one moment, in the board's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// When.
    pub at: SystemTime,
    /// A series' figure; none where it has none, such as how long nothing took.
    pub values: Vec<Option<f64>>,
}

impl History {
    /// Of this board's series; there is nothing yet.
    #[must_use]
    pub fn of(board: &Board) -> Self {
        Self { series: board.series().collect(), readings: VecDeque::new(), points: VecDeque::new() }
    }

    /// Takes up a scrape, and gives the point that it makes.
    pub fn take(&mut self, at: SystemTime, scrape: &Scrape) -> &Point {
        let now: Vec<_> = self.series.iter().map(|series| scrape.read(series)).collect();
        // One that is older than the window stays, as its beginning.
        while self.readings.get(1).is_some_and(|(then, _)| age(at, *then) >= WINDOW) {
            self.readings.pop_front();
        }
        let then = self.readings.front();
        let values = self.series.iter().enumerate().map(|(index, series)| {
            let before = then.and_then(|(_, then)| then[index].as_ref());
            let passed = then.map_or(Duration::ZERO, |(then, _)| age(at, *then));
            figure(series.of, now[index].as_ref()?, before, passed)
        });
        let point = Point { at, values: values.collect() };
        self.readings.push_back((at, now));
        while self.points.front().is_some_and(|point| age(at, point.at) > KEPT) {
            self.points.pop_front();
        }
        self.points.push_back(point);
        &self.points[self.points.len() - 1]
    }

    /// There was no scrape: what comes next is not held against what was before.
    pub fn interrupted(&mut self) {
        self.readings.clear();
    }

    /// All points, the oldest first.
    #[must_use]
    pub fn points(&self) -> impl DoubleEndedIterator<Item = &Point> + ExactSizeIterator {
        self.points.iter()
    }
}

fn age(now: SystemTime, then: SystemTime) -> Duration {
    now.duration_since(then).unwrap_or_default()
}

/// `before` is what was there `passed` ago; a service that was started anew counts from 0, and so does what was not there.
fn figure(of: Of, now: &Reading, before: Option<&Reading>, passed: Duration) -> Option<f64> {
    match (of, now) {
        (Of::Now, Reading::Number(now)) => Some(*now),
        (Of::Rate, Reading::Number(now)) => {
            let increase = match before {
                Some(Reading::Number(before)) if before <= now => now - before,
                _ => *now,
            };
            (!passed.is_zero()).then(|| increase / passed.as_secs_f64())
        }
        (Of::Quantile(quantile), Reading::Buckets(now)) => {
            let before = match before {
                Some(Reading::Buckets(before)) if before.last() <= now.last() => &before[..],
                _ => &[],
            };
            let seen = |&(bound, count): &(f64, f64)| {
                let before = before.iter().find(|(known, _)| known.total_cmp(&bound).is_eq());
                (bound, count - before.map_or(0.0, |(_, count)| *count))
            };
            interpolate(quantile, &now.iter().map(seen).collect::<Vec<_>>())
        }
        _ => None,
    }
}

/// Where the quantile lies among counts up to bounds; beyond the last finite bound it is that bound.
fn interpolate(quantile: f64, buckets: &[(f64, f64)]) -> Option<f64> {
    let (_, all) = *buckets.last()?;
    if all <= 0.0 {
        return None;
    }
    let rank = quantile * all;
    let mut below = (0.0, 0.0);
    for &(bound, count) in buckets {
        if count >= rank && count > below.1 {
            return Some(if bound.is_finite() {
                below.0 + (bound - below.0) * (rank - below.1) / (count - below.1)
            } else {
                below.0
            });
        }
        below = (bound, count);
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;
    use crate::board::Panel;
    use crate::board::Unit;

    const BOARD: Board = Board {
        panels: &[Panel {
            title: "All",
            unit: Unit::Count,
            series: &[
                Series::new("now", Of::Now, "heard_total"),
                Series::new("rate", Of::Rate, "heard_total"),
                Series::new("p50", Of::Quantile(0.5), "took"),
            ],
        }],
        failures: &[],
    };

    fn take(history: &mut History, at: u64, text: &str) -> Vec<Option<f64>> {
        history.take(UNIX_EPOCH + Duration::from_secs(at), &Scrape::parse(text)).values.clone()
    }

    #[test]
    fn a_rate_is_of_the_last_ten_seconds_and_a_counter_that_starts_anew_does_not_turn_it_negative() {
        let mut history = History::of(&BOARD);
        assert_eq!(take(&mut history, 0, "heard_total 100"), [Some(100.0), None, None]);
        assert_eq!(take(&mut history, 2, "heard_total 120")[1], Some(10.0));
        for at in [4, 6, 8, 10, 12] {
            take(&mut history, at, "heard_total 120");
        }
        assert_eq!(take(&mut history, 14, "heard_total 150")[1], Some(3.0));
        assert_eq!(take(&mut history, 16, "heard_total 20")[1], Some(2.0));
        history.interrupted();
        assert_eq!(take(&mut history, 60, "heard_total 2000")[1], None);
    }

    #[test]
    fn a_counter_that_was_not_there_has_counted_from_nothing() {
        let mut history = History::of(&BOARD);
        assert_eq!(take(&mut history, 0, ""), [None; 3]);
        assert_eq!(take(&mut history, 2, "heard_total 20")[1], Some(10.0));
    }

    #[test]
    fn a_quantile_is_of_what_was_seen_meanwhile_and_of_nothing_there_is_none() {
        let mut history = History::of(&BOARD);
        let text = |fast, slow| format!("took_bucket{{le=\"1\"}} {fast}\ntook_bucket{{le=\"+Inf\"}} {}", fast + slow);
        take(&mut history, 0, &text(1000, 0));
        assert_eq!(take(&mut history, 1, &text(1000, 0))[2], None);
        assert_eq!(take(&mut history, 2, &text(1010, 0))[2], Some(0.5));
        assert_eq!(take(&mut history, 3, &text(1010, 90))[2], Some(1.0), "the last bound that is known");
    }

    #[test]
    fn a_quarter_of_an_hour_is_kept() {
        let mut history = History::of(&BOARD);
        for at in 0..2000 {
            take(&mut history, at, "heard_total 1");
        }
        assert_eq!(history.points().len(), 901);
        assert!(history.readings.len() < 15);
    }

    proptest! {
        #[test]
        fn a_quantile_lies_where_at_least_that_share_was_seen(counts in prop::collection::vec(0_u32..50, 1..8), quantile in 0.01_f64..1.0) {
            let mut sum = 0.0;
            let buckets: Vec<_> = counts.iter().zip(1_u32..).map(|(count, bound)| {
                sum += f64::from(*count);
                (f64::from(bound), sum)
            }).collect();
            let Some(value) = interpolate(quantile, &buckets) else {
                prop_assert!(counts.iter().all(|count| *count == 0));
                return Ok(());
            };
            let (bound, count) = buckets.iter().find(|(bound, _)| *bound >= value).unwrap();
            prop_assert!(*count >= quantile * sum - 1e-9, "{value} {bound}");
            let below = buckets.iter().filter(|(bound, _)| *bound < value - 1.0).map(|(_, count)| *count).next_back();
            prop_assert!(below.unwrap_or(0.0) <= quantile * sum + 1e-9);
        }
    }
}
