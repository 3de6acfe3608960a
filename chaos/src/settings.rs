//! What can be set.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::fault::Fault;

/// Breaks the services and all around them under load, and counts what was lost.
///
/// Runs a producer with a spool and some consumers on a LocalStack of their own, posts messages to the one while the others
/// handle them, and does to them, one after the other, all that can go wrong. Then it waits until nothing is left to be
/// handled, and compares by content what was accepted with what was handled. Exit code 0 if nothing was lost, else 1.
#[derive(Clone, Debug, Parser)]
#[command(name = "chaos", version)]
pub struct Settings {
    /// Decides which fault comes when; a run prints its own, and does the same steps again when it is given
    #[arg(long, env, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// How long faults go on; the drain comes after that
    #[arg(long, env, value_name = "DURATION", default_value = "2m", value_parser = humantime::parse_duration)]
    pub duration: Duration,

    /// End when so many steps are done, if that is earlier
    #[arg(long, env, value_name = "COUNT")]
    pub steps: Option<usize>,

    /// End when so many messages were accepted, if that is earlier
    #[arg(long, env, value_name = "COUNT")]
    pub messages: Option<u64>,

    /// How many messages are posted in a second
    #[arg(long, env, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,

    /// How many consumers there are
    #[arg(long, env, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub consumers: u32,

    /// Of all faults only these, separated by commas
    #[arg(long, env, value_name = "FAULT", value_delimiter = ',')]
    pub only: Vec<Fault>,

    /// How long an outage lasts, instead of some seconds by the seed
    #[arg(long, env, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub outage: Option<Duration>,

    /// Where to put the journal and the services' logs; without it they are kept only if something is wrong
    #[arg(long, env, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,

    /// Try the oracle: one in so many messages is answered as handled and is not
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub sabotage: Option<u64>,
}
