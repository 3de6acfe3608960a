//! What was sent against what was handled.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display};

/// How many values of each kind are named in a failure.
const NAMED: usize = 10;

/// The difference between two multisets: what was sent and what was handled.
///
/// ```
/// use upbeat_testkit::Count;
/// let count = Count::of(["a", "b", "c"], ["a", "a", "c", "x"]);
/// assert_eq!((count.lost, count.repeated, count.unexpected), (vec!["b"], vec!["a"], vec!["x"]));
/// Count::of(["a", "b"], ["b", "b", "a"]).assert_nothing_lost();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count<T> {
    /// How many were sent.
    pub sent: usize,
    /// How many were handled, each time counted.
    pub handled: usize,
    /// Sent, and handled fewer times than sent; once for each time missing.
    pub lost: Vec<T>,
    /// Sent, and handled more often than sent; once for each time too many.
    pub repeated: Vec<T>,
    /// Handled and never sent; once for each time.
    pub unexpected: Vec<T>,
}

impl<T: Ord + Clone + Debug> Count<T> {
    /// Compares what was sent with what was handled.
    #[must_use]
    pub fn of(sent: impl IntoIterator<Item = T>, handled: impl IntoIterator<Item = T>) -> Self {
        let mut times: BTreeMap<T, (usize, usize)> = BTreeMap::new();
        sent.into_iter().for_each(|value| times.entry(value).or_default().0 += 1);
        handled.into_iter().for_each(|value| times.entry(value).or_default().1 += 1);

        let mut count = Self { sent: 0, handled: 0, lost: vec![], repeated: vec![], unexpected: vec![] };
        for (value, (sent, handled)) in times {
            count.sent += sent;
            count.handled += handled;
            let surplus = if sent == 0 { &mut count.unexpected } else { &mut count.repeated };
            surplus.extend(std::iter::repeat_n(value.clone(), handled.saturating_sub(sent)));
            count.lost.extend(std::iter::repeat_n(value, sent.saturating_sub(handled)));
        }
        count
    }

    /// At least once: nothing lost, nothing unexpected.
    #[track_caller]
    pub fn assert_nothing_lost(&self) {
        assert!(self.lost.is_empty() && self.unexpected.is_empty(), "{self}");
    }

    /// Nothing lost, nothing unexpected, nothing repeated.
    #[track_caller]
    pub fn assert_exactly_once(&self) {
        assert!(self.lost.is_empty() && self.unexpected.is_empty() && self.repeated.is_empty(), "{self}");
    }
}

impl<T: Debug> Display for Count<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sent {}, handled {}", self.sent, self.handled)?;
        for (kind, values) in [("lost", &self.lost), ("repeated", &self.repeated), ("unexpected", &self.unexpected)] {
            write!(formatter, ", {kind} {}", values.len())?;
            if !values.is_empty() {
                let more = if values.len() > NAMED { " …" } else { "" };
                write!(formatter, " {:?}{more}", &values[..values.len().min(NAMED)])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_sent_twice_are_neither_lost_nor_repeated_when_handled_twice() {
        Count::of([1, 1, 2], [2, 1, 1]).assert_exactly_once();
    }

    #[test]
    fn every_time_missing_or_too_many_counts() {
        let count = Count::of([1, 1, 2, 3], [2, 2, 2, 3, 9, 9]);
        assert_eq!((count.sent, count.handled), (4, 6));
        assert_eq!((&*count.lost, &*count.repeated, &*count.unexpected), (&[1, 1][..], &[2, 2][..], &[9, 9][..]));
        assert_eq!(count.to_string(), "sent 4, handled 6, lost 2 [1, 1], repeated 2 [2, 2], unexpected 2 [9, 9]");
    }

    #[test]
    #[should_panic(expected = "sent 2, handled 1, lost 1 [\"b\"], repeated 0, unexpected 0")]
    fn a_lost_message_fails_the_assertion_with_what_was_lost() {
        Count::of(["a", "b"], ["a"]).assert_nothing_lost();
    }

    #[test]
    #[should_panic(expected = "repeated 1")]
    fn a_repeated_message_fails_only_where_once_is_asked_for() {
        let count = Count::of(["a"], ["a", "a"]);
        count.assert_nothing_lost();
        count.assert_exactly_once();
    }

    #[test]
    fn a_long_list_is_cut_in_a_failure() {
        let count = Count::of(0..100, []);
        assert!(count.to_string().contains("lost 100 [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] …"), "{count}");
    }
}
