//! Several servers over one set of records, of which one leads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use upbeat_orchestrator::cluster::commands::Put;
use upbeat_orchestrator::cluster::model::{Partition, Service};
use upbeat_orchestrator::cluster::records::memory::MemoryRecords;
use upbeat_orchestrator::cluster::records::{Leadership, Records};
use upbeat_orchestrator::cluster::server::{Refusal, Server};
use upbeat_orchestrator::cluster::state::{Change, Cluster};
use upbeat_orchestrator::cluster::wire::Report;
use upbeat_orchestrator::store::StoreError;
use upbeat_service::Health;

use super::{Fleet, SOON, service};

/// Records as one of several servers has them.
#[derive(Clone, Debug)]
struct Shared {
    records: MemoryRecords,
    /// In which term it leads; 0 if it does not.
    term: Arc<AtomicU64>,
    /// What is kept is not answered.
    mute: Arc<AtomicBool>,
    /// What is kept takes a while.
    slow: Arc<AtomicBool>,
}

impl Shared {
    fn new(records: &MemoryRecords, term: u64) -> Self {
        Self { records: records.clone(), term: Arc::new(term.into()), mute: Arc::default(), slow: Arc::default() }
    }

    fn server(&self) -> Server {
        let (server, brain) = Server::new(Arc::new(self.clone()), None);
        tokio::spawn(brain.run(Health::default(), CancellationToken::new()));
        server
    }
}

#[async_trait]
impl Records for Shared {
    fn leadership(&self) -> Leadership {
        match self.term.load(Ordering::SeqCst) {
            0 => Leadership::Anothers,
            term => Leadership::Ours(term),
        }
    }

    async fn load(&self) -> Result<Cluster, StoreError> {
        self.records.load().await
    }

    async fn keep(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.records.keep(changes).await?;
        if self.slow.load(Ordering::SeqCst) {
            sleep(SOON).await;
        }
        if self.mute.load(Ordering::SeqCst) { Err(StoreError("as told".to_owned())) } else { Ok(()) }
    }
}

#[tokio::test(start_paused = true)]
async fn when_another_server_leads_nothing_is_begun_or_stopped_for_it_and_the_one_before_says_nothing_more() {
    let fleet = Fleet::of(3).await;
    fleet.kill_server();
    let [one, other] = [1, 0].map(|term| Shared::new(&fleet.records, term));
    let (first, second) = (one.server(), other.server());
    *fleet.server.lock().unwrap() = Some(first.clone());
    sleep(SOON).await;
    fleet.put(service("web", 6)).await;
    fleet.put(Service { partition: Partition::Stop, ..service("one", 2) }).await;
    fleet.settle("web", 6, SOON).await;
    fleet.settle("one", 2, SOON).await;
    sleep(SOON).await;
    assert!(matches!(second.read(|_| ()).await, Err(Refusal::Away(_))));
    let (before, done) = (fleet.running(), deeds(&fleet));

    one.term.store(0, Ordering::SeqCst);
    // Nobody leads for a while, and whoever asks the one before is told nothing.
    for _ in 0..50 {
        assert!(matches!(first.exchange("n1", Report::default(), false).await, Err(Refusal::Away(_))));
        sleep(Duration::from_millis(100)).await;
    }
    assert!(matches!(first.scale("web", 1).await, Err(Refusal::Away(_))));
    other.term.store(2, Ordering::SeqCst);
    *fleet.server.lock().unwrap() = Some(second.clone());
    sleep(Duration::from_secs(30)).await;
    assert_eq!(fleet.running(), before);
    assert_eq!(deeds(&fleet), done);

    fleet.cut(0);
    fleet.stays("one", 1, 2, Duration::from_secs(27)).await;
    assert!(fleet.count("one") == 2 && fleet.count("web") >= 6, "{:?}", fleet.running());
    let epochs = |fleet: &Fleet| fleet.slots("one").into_values().flatten().max().unwrap();
    assert!(epochs(&fleet) > 8, "an epoch is given once, by whichever server: {:?}", fleet.running());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_waits_for_orders_when_the_leader_changes_gets_none_from_the_one_before() {
    let fleet = Fleet::of(1).await;
    fleet.kill_server();
    let one = Shared::new(&fleet.records, 1);
    let first = one.server();
    let orders = loop {
        match first.exchange("n1", Report::default(), false).await {
            Ok(orders) => break orders,
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    };
    let report = Report { stamp: Some(orders.stamp), ..Report::default() };
    let waiting = tokio::spawn(async move { first.exchange("n1", report, true).await });
    sleep(Duration::from_millis(500)).await;
    one.term.store(0, Ordering::SeqCst);
    assert!(matches!(waiting.await.unwrap(), Err(Refusal::Away(_))));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_waits_while_the_one_before_is_too_busy_to_notice_gets_no_word_that_would_renew_its_lease() {
    let fleet = Fleet::of(1).await;
    fleet.kill_server();
    let one = Shared::new(&fleet.records, 1);
    let first = one.server();
    let orders = loop {
        match first.exchange("n1", Report::default(), false).await {
            Ok(orders) => break orders,
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    };
    one.slow.store(true, Ordering::SeqCst);
    let report = Report { stamp: Some(orders.stamp), ..Report::default() };
    let node = first.clone();
    let waiting = tokio::spawn(async move { node.exchange("n1", report, true).await });
    sleep(Duration::from_millis(100)).await;
    let busy = tokio::spawn(async move { first.put_service(service("web", 0), None).await });
    sleep(Duration::from_millis(100)).await;
    one.term.store(0, Ordering::SeqCst);
    let told = waiting.await.unwrap();
    assert!(!busy.is_finished() && matches!(told, Err(Refusal::Away(_))), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_leads_again_knows_what_another_has_done_meanwhile() {
    let fleet = Fleet::of(1).await;
    fleet.kill_server();
    let one = Shared::new(&fleet.records, 1);
    let server = one.server();
    *fleet.server.lock().unwrap() = Some(server.clone());
    fleet.put(service("web", 1)).await;
    // It did not notice that another one led: that took no time.
    let other = Shared::new(&fleet.records, 2).server();
    assert_eq!(other.put_service(service("web", 2), None).await, Ok((Put::Updated, 2)));
    one.term.store(3, Ordering::SeqCst);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(server.put_service(service("web", 2), None).await, Ok((Put::Unchanged, 2)));
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_though_nobody_said_so_is_known_before_anything_else_is_changed() {
    let fleet = Fleet::of(2).await;
    fleet.kill_server();
    let one = Shared::new(&fleet.records, 1);
    let server = one.server();
    *fleet.server.lock().unwrap() = Some(server.clone());
    sleep(SOON).await;
    one.mute.store(true, Ordering::SeqCst);
    assert!(matches!(server.put_service(service("web", 2), Some(0)).await, Err(Refusal::Store(_))));
    one.mute.store(false, Ordering::SeqCst);
    assert_eq!(server.put_service(service("web", 2), None).await, Ok((Put::Unchanged, 1)));
    fleet.settle("web", 2, Duration::from_secs(10)).await;
    // The same of what the server does by itself: no slot is given twice.
    one.mute.store(true, Ordering::SeqCst);
    fleet.cut(0);
    sleep(Duration::from_secs(30)).await;
    one.mute.store(false, Ordering::SeqCst);
    fleet.stays("web", 1, 3, Duration::from_secs(10)).await;
    fleet.mend(0);
    fleet.settle("web", 2, Duration::from_mins(1)).await;
}

/// How often engines were asked to do something.
fn deeds(fleet: &Fleet) -> Vec<usize> {
    let is_deed = |what: &str| ["create", "start", "stop", "restart", "remove"].contains(&what);
    let count = |host: &super::Host| host.engine.calls().iter().filter(|call| is_deed(call.what)).count();
    fleet.hosts.iter().map(count).collect()
}
