//! Which services are looked at, and how often.

use std::time::Duration;

use clap::Parser;
use http::Uri;
use upbeat_service::settings::positive_duration;

/// What producers and consumers do, live in a terminal: q ends it, space holds it still.
#[derive(Clone, Debug, Parser)]
#[command(name = "dash", version)]
pub struct Settings {
    /// The services, each by its address, such as localhost:5000 or 10.0.0.7:5000
    #[arg(default_values = ["localhost:5000", "localhost:5001"], value_name = "ADDRESS", value_parser = address)]
    pub services: Vec<Uri>,

    /// How often each is asked
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = positive_duration)]
    pub interval: Duration,

    /// Print the figures once, as lines of text, and end: 1 if a service could not be asked
    #[arg(long)]
    pub once: bool,
}

/// Where the metrics are of the service at this address.
fn address(text: &str) -> Result<Uri, String> {
    let plain = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let wanted = "write an address such as localhost:5000 or http://10.0.0.7:5000; https is not spoken";
    if plain.is_empty() || plain.contains("://") || plain.contains('/') {
        return Err(wanted.to_owned());
    }
    format!("http://{plain}/metrics").parse().map_err(|_| wanted.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_do_without_a_scheme_and_what_is_none_is_refused() {
        for good in ["localhost:5000", "http://localhost:5000", "http://localhost:5000/"] {
            assert_eq!(address(good).unwrap(), "http://localhost:5000/metrics");
        }
        for bad in ["", "https://localhost", "localhost:5000/metrics", "local host"] {
            assert!(address(bad).is_err_and(|why| why.contains("localhost:5000")), "{bad}");
        }
    }
}
