//! What can go wrong.

use clap::ValueEnum;

/// A fault, as `--only` and docs/FAULTS.md call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub enum Fault {
    /// kill -9 of a consumer while messages are in its handlers
    KillMidHandler,
    /// kill -9 of a consumer between the effect and the delete, before its endpoint has answered or after
    KillAfterEffect,
    /// kill -9 of a consumer at any time, again as soon as it runs
    KillConsumer,
    /// SIGTERM to a consumer with messages in its handlers
    StopBusy,
    /// SIGTERM to consumers in idle long polls, just before messages come
    StopIdle,
    /// SIGTERM twice
    StopTwice,
    /// SIGSTOP of a consumer until its leases are over, then SIGCONT
    FreezeConsumer,
    /// Handlers that take longer than the lease
    SlowHandler,
    /// A consumer that cannot extend its leases while handlers run
    FailingHeartbeat,
    /// Handlers that fail the first time
    FailingHandler,
    /// Messages whose handler always fails
    Poison,
    /// kill -9 of the producer while a batch is under way
    KillMidBatch,
    /// kill -9 of the producer at any time, again as soon as it runs
    KillProducer,
    /// SIGTERM to the producer under load
    StopProducer,
    /// SIGSTOP of the producer for some seconds, then SIGCONT
    FreezeProducer,
    /// A publish that arrives and whose response does not
    PublishResponseDropped,
    /// A publish that arrives and of whose response only half comes
    PublishResponseTruncated,
    /// A publish that arrives and whose response comes seconds later
    PublishResponseDelayed,
    /// A receive that takes messages and whose response does not come, or by half
    ReceiveResponseDropped,
    /// A receive that takes messages and never ends
    ReceiveHangs,
    /// A delete that arrives and whose response does not
    DeleteResponseDropped,
    /// Batches of which some entries fail: publishes, deletes, extensions
    PartialFailures,
    /// All connections reset, again and again
    Cut,
    /// 500 ms more on every call
    Latency,
    /// The broker out of reach
    Outage,
    /// LocalStack killed and started again, which forgets what it held
    BrokerRestart,
}

impl Fault {
    /// What `--only` calls it.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
