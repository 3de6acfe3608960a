//! What a person is shown of a service: which figures, out of its metrics, in which order.
//!
//! A service declares its [`Board`] once. The page that it serves and the terminal view are both drawn from that, and
//! both read what `/metrics` says, so that no figure is worked out in two ways.

mod history;
mod scrape;

pub use history::{History, Point};
pub use scrape::Scrape;

/// Everything that is shown of a service.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    /// Each a plot, and its series' last values as numbers.
    pub panels: &'static [Panel],
    /// What may go wrong, counted by reason.
    pub failures: &'static [Failures],
}

/// Figures that share a plot.
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    /// What it shows, in two or three words.
    pub title: &'static str,
    /// What its figures are in.
    pub unit: Unit,
    /// At most four, or nobody can tell them apart.
    pub series: &'static [Series],
}

/// What a figure is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// So many.
    Count,
    /// So many a second.
    Rate,
    /// A time in seconds.
    Seconds,
    /// A size in bytes.
    Bytes,
}

/// One figure over time.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// What sets it apart from the panel's others, in a word.
    pub label: &'static str,
    /// What is made of the metric.
    pub of: Of,
    /// The metric's name as in a scrape; of a histogram without its `_bucket`.
    pub metric: &'static str,
    /// Only the samples whose label has one of these values, where it is not all of them.
    pub only: Option<(&'static str, &'static [&'static str])>,
}

/// What is made of a metric; samples that differ in their labels are added up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Of {
    /// The value as it is.
    Now,
    /// A counter's increase a second, over the last ten seconds.
    Rate,
    /// A quantile, from 0 to 1, of what a histogram saw in the same time; between two bounds it is taken as even.
    Quantile(f64),
}

/// A counter by reason.
#[derive(Clone, Copy, Debug)]
pub struct Failures {
    /// What failed, in a word or two.
    pub what: &'static str,
    /// The counter's name as in a scrape.
    pub metric: &'static str,
    /// The label that tells the reason.
    pub label: &'static str,
    /// The values of that label which are no failures.
    pub fine: &'static [&'static str],
}

impl Series {
    /// A metric as it is, or its rate or quantile.
    #[must_use]
    pub const fn new(label: &'static str, of: Of, metric: &'static str) -> Self {
        Self { label, of, metric, only: None }
    }

    /// Only of samples whose `label` is one of `values`.
    #[must_use]
    pub const fn only(mut self, label: &'static str, values: &'static [&'static str]) -> Self {
        self.only = Some((label, values));
        self
    }
}

impl Board {
    /// All series, in the order in which they are shown.
    pub fn series(&self) -> impl Iterator<Item = &'static Series> + use<> {
        self.panels.iter().flat_map(|panel| panel.series)
    }
}
