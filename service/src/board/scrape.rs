//! Reading what `/metrics` says.
//!
//! Only what our own services write is read, the text format 0.0.4 without timestamps; the crates for it bring regular
//! expressions along.

use super::{Failures, Of, Series};

/// The samples of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Scrape(Vec<Sample>);

#[derive(Clone, Debug, Default, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// What a series' metric says at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reading {
    /// A gauge or a counter.
    Number(f64),
    /// A histogram: how many were seen up to each bound.
    Buckets(Vec<(f64, f64)>),
}

impl Scrape {
    /// Reads the text format. Lines that are none of it are left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(Sample::parse).collect())
    }

    /// What a series' metric says; nothing if no sample is of it.
    pub(super) fn read(&self, series: &Series) -> Option<Reading> {
        match series.of {
            Of::Now | Of::Rate => {
                let samples = self.0.iter().filter(|sample| sample.name == series.metric && sample.is_of(series));
                samples.map(|sample| sample.value).reduce(|sum, value| sum + value).map(Reading::Number)
            }
            Of::Quantile(_) => self.buckets(series).map(Reading::Buckets),
        }
    }

    /// How often each reason has been counted, since the service's start, and only those that were.
    #[must_use]
    pub fn failures(&self, failures: &[Failures]) -> Vec<(&'static str, String, f64)> {
        let mut counted = Vec::<(&'static str, String, f64)>::new();
        for Failures { what, metric, label, fine } in failures {
            let samples = self.0.iter().filter(|sample| sample.name == *metric && sample.value > 0.0);
            for sample in samples {
                let Some(reason) = sample.label(label).filter(|reason| !fine.contains(reason)) else { continue };
                match counted.iter_mut().find(|(known, of, _)| known == what && of == reason) {
                    Some((.., sum)) => *sum += sample.value,
                    None => counted.push((what, reason.to_owned(), sample.value)),
                }
            }
        }
        counted
    }

    /// The value of the label of the first sample of this name.
    #[must_use]
    pub fn label(&self, metric: &str, label: &str) -> Option<&str> {
        self.0.iter().find(|sample| sample.name == metric)?.label(label)
    }

    /// The value of the first sample of this name.
    #[must_use]
    pub fn value(&self, metric: &str) -> Option<f64> {
        self.0.iter().find(|sample| sample.name == metric).map(|sample| sample.value)
    }

    fn buckets(&self, series: &Series) -> Option<Vec<(f64, f64)>> {
        let mut buckets = Vec::<(f64, f64)>::new();
        for sample in &self.0 {
            if sample.name.strip_suffix("_bucket") != Some(series.metric) || !sample.is_of(series) {
                continue;
            }
            let bound = sample.label("le")?.parse().ok()?;
            match buckets.iter_mut().find(|(known, _)| known.total_cmp(&bound).is_eq()) {
                Some((_, count)) => *count += sample.value,
                None => buckets.push((bound, sample.value)),
            }
        }
        buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        (!buckets.is_empty()).then_some(buckets)
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let name_ends = line.find(['{', ' '])?;
        let (name, mut rest) = line.split_at(name_ends);
        let mut labels = Vec::new();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside;
            while !rest.starts_with('}') {
                let (label, quoted) = rest.split_once("=\"")?;
                let (value, after) = unquote(quoted)?;
                labels.push((label.trim_start_matches(',').to_owned(), value));
                rest = after;
            }
            rest = &rest[1..];
        }
        let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
        Some(Self { name: name.to_owned(), labels, value })
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    fn is_of(&self, series: &Series) -> bool {
        series.only.is_none_or(|(label, values)| self.label(label).is_some_and(|value| values.contains(&value)))
    }
}

/// A label's value up to its closing quote, and what follows.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                escaped => escaped,
            }),
            plain => value.push(plain),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = r#"# HELP heard_total What was heard
# TYPE heard_total counter
heard_total{outcome="ok",by="a"} 3
heard_total{outcome="ok",by="b"} 4
heard_total{outcome="deaf",by="b"} 2
heard_total{outcome="asleep",by="b"} 0
took_seconds_bucket{le="0.1"} 1
took_seconds_bucket{le="+Inf"} 5
took_seconds_count 5
waiting 7.5 1700000000
half a line{
"#;

    #[test]
    fn samples_that_differ_in_other_labels_are_added_up() {
        let scrape = Scrape::parse(TEXT);
        let heard = Series::new("", Of::Rate, "heard_total");
        assert_eq!(scrape.read(&heard), Some(Reading::Number(9.0)));
        assert_eq!(scrape.read(&heard.only("outcome", &["ok"])), Some(Reading::Number(7.0)));
        assert_eq!(scrape.read(&heard.only("outcome", &["gone"])), None);
        assert_eq!(scrape.read(&Series::new("", Of::Now, "waiting")), Some(Reading::Number(7.5)));
        let took = scrape.read(&Series::new("", Of::Quantile(0.5), "took_seconds"));
        assert_eq!(took, Some(Reading::Buckets(vec![(0.1, 1.0), (f64::INFINITY, 5.0)])));
    }

    #[test]
    fn only_failures_that_happened_are_counted() {
        let failures = [Failures { what: "hearing", metric: "heard_total", label: "outcome", fine: &["ok"] }];
        assert_eq!(Scrape::parse(TEXT).failures(&failures), [("hearing", "deaf".to_owned(), 2.0)]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC*|([a-z]{0,3}[{}=\" ,\\\\]{0,3}[0-9]?\n?)*") {
            let _ = Scrape::parse(&text);
        }

        #[test]
        fn a_label_comes_out_as_it_went_in(value in "[a\"\\\\\n{}=, ]*") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let scrape = Scrape::parse(&format!("a{{x=\"1\",b=\"{escaped}\"}} 1"));
            prop_assert_eq!(scrape.label("a", "b"), Some(&*value));
        }
    }
}
