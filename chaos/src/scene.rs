//! All that there is in a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use fastrand::Rng;
use upbeat_testkit::port::ReservedPort;
use upbeat_testkit::{LocalStack, Proxy, Queue, Service, clients};

use crate::body::recognise;
use crate::endpoint::Endpoint;
use crate::fleet::Member;
use crate::journal::Journal;
use crate::load::Load;
use crate::screen::Screen;
use crate::settings::Settings;

/// How long a consumer has a message for before it has to extend that, or another gets it.
pub const LEASE: Duration = Duration::from_secs(3);

/// The topic and the queue, as LocalStack's hook makes them.
const NAME: &str = "messages";
const DEAD_LETTERS: &str = "messages-dlq";

/// Longer than it takes to look at all messages of a queue.
pub const LOOKED_WITHIN: Duration = Duration::from_mins(10);

/// Services, broker, network, load, and what they write down.
#[derive(Debug)]
pub struct Scene {
    /// As set.
    pub settings: Settings,
    /// The run's own.
    pub seed: u64,
    /// What is written down.
    pub journal: Arc<Journal>,
    /// What a person sees.
    pub screen: Screen,
    /// What handlers call.
    pub endpoint: Arc<Endpoint>,
    /// The broker.
    pub localstack: LocalStack,
    /// The producer, with a spool.
    pub producer: Member,
    /// The consumers.
    pub consumers: Vec<Member>,
    /// What is posted.
    pub load: Load,
    /// What went wrong that should not have, besides messages lost.
    pub problems: Vec<String>,
    folder: PathBuf,
    _producer_port: ReservedPort,
}

impl Scene {
    /// Starts all of it. The folder is for journal, logs and spool.
    pub async fn start(settings: Settings, seed: u64, folder: &Path) -> anyhow::Result<Self> {
        let localstack = LocalStack::start().await;
        let journal = Journal::create(&folder.join("journal.jsonl")).context("cannot begin the journal")?;
        let journal = Arc::new(journal);
        let screen = Screen::new(journal.clone(), settings.duration);
        let endpoint = Endpoint::start(journal.clone(), seed, settings.sabotage).await?;

        let port = ReservedPort::take();
        let address = port.address().to_string();
        let spool = folder.join("spool").display().to_string();
        let command = |proxy: &Proxy| {
            let command = Service::producer(proxy.url()).args(["--topic", NAME, "--interval", "0", "--spool", &spool]);
            command.args(["--listen", &address])
        };
        let producer = Member::start("producer", localstack.url(), command, journal.clone(), folder).await?;
        let mut consumers = Vec::new();
        for number in 1..=settings.consumers {
            let name = format!("consumer-{number}");
            let command = |proxy: &Proxy| {
                let command = Service::consumer(proxy.url()).args(["--queue", NAME, "--http", &endpoint.url(&name)]);
                let command = command.args(["--lease", &format!("{}s", LEASE.as_secs()), "--wait-time", "2s"]);
                command.args(["--retry-first", "200ms", "--concurrency", "20"])
            };
            consumers.push(Member::start(&name, localstack.url(), command, journal.clone(), folder).await?);
        }
        let load = Load::start(&address, journal.clone(), seed, settings.rate);
        Ok(Self {
            settings,
            seed,
            journal,
            screen,
            endpoint,
            localstack,
            producer,
            consumers,
            load,
            problems: Vec::new(),
            folder: folder.to_owned(),
            _producer_port: port,
        })
    }

    /// One of the consumers, by its index.
    pub fn any_consumer(&self, rng: &mut Rng) -> usize {
        rng.usize(..self.consumers.len())
    }

    /// Every service.
    pub fn members(&mut self) -> impl Iterator<Item = &mut Member> {
        std::iter::once(&mut self.producer).chain(&mut self.consumers)
    }

    /// All networks whole, all handlers going on.
    pub fn make_whole(&mut self) {
        self.endpoint.release();
        self.load.go_on();
        let endpoint = self.localstack.url().to_owned();
        for member in self.members() {
            member.proxy.lead_to(&endpoint);
            member.proxy.pass();
        }
    }

    /// A service that nobody has ended must not have.
    pub async fn look_for_the_dead(&mut self) -> anyhow::Result<()> {
        let mut dead = Vec::new();
        for member in self.members().filter(|member| !member.service().is_running()) {
            let code = member.exit().await;
            dead.push(format!("{} has ended by itself, with {code}", member.name));
            member.start_again().await?;
        }
        self.problems.extend(dead);
        Ok(())
    }

    /// The queue, as it is now: LocalStack may be another than before.
    pub async fn queue(&self) -> Queue {
        Queue::find(&clients::sqs(self.localstack.url()), NAME).await
    }

    /// Its dead-letter queue.
    pub async fn dead_letters(&self) -> Queue {
        Queue::find(&clients::sqs(self.localstack.url()), DEAD_LETTERS).await
    }

    /// `consumer redrive`, which moves the dead letters back.
    pub async fn redrive(&self) -> i32 {
        let redrive = Service::consumer(self.localstack.url()).args(["redrive", "--queue", NAME]).spawn().await;
        redrive.wait_exit(crate::fleet::EXIT_WITHIN).await
    }

    /// The numbers of all messages in a queue that nobody else receives from, and whether each is poison. They stay there,
    /// invisible for so long. It ends when nothing comes any more for so many seconds.
    pub async fn look_into(&self, queue: &Queue, visibility: Duration, quiet: u32) -> BTreeMap<u64, bool> {
        let seconds = i32::try_from(visibility.as_secs()).unwrap_or(i32::MAX);
        let (mut found, mut count, mut empty) = (BTreeMap::new(), 0, 0);
        // What a consumer had received comes back when its lease ends.
        while empty < quiet || queue.counts().await.total() as usize > count {
            let call = queue.client.receive_message().queue_url(&queue.url).max_number_of_messages(10);
            let received = call.wait_time_seconds(1).visibility_timeout(seconds).send().await;
            let received = received.ok().and_then(|answer| answer.messages).unwrap_or_default();
            let bodies = received.iter().filter_map(|message| message.body.as_deref());
            found.extend(bodies.filter_map(|body| recognise(self.seed, body)));
            count += received.len();
            empty = if received.is_empty() { empty + 1 } else { 0 };
        }
        found
    }

    /// Where journal, logs and spool are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
