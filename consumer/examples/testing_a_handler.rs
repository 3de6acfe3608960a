//! How to test a handler: a queue in memory that has faults, and time that passes at once.
//!
//! In a test, `#[tokio::test(start_paused = true)]` does what `main` does here: time stands still while anything is to do
//! and leaps to the next timer when nothing is. `cargo run -p upbeat-consumer --example testing_a_handler`

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use upbeat_consumer::queue::memory::{Faults, MemoryQueue};
use upbeat_consumer::{Consumer, Handler, Message, Outcome, Summary};

/// The handler to be tested: it pays what is due, and asks for another try hours later while there is no money.
fn payer(money: Arc<AtomicU32>) -> impl Handler {
    move |message: Message| {
        let money = Arc::clone(&money);
        async move {
            let Ok(due) = message.body().parse() else {
                return Outcome::Reject { reason: "not an amount".to_owned() };
            };
            let paid = money.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |money: u32| money.checked_sub(due));
            let later = Outcome::Retry { after: Duration::from_hours(10) };
            paid.map_or(later, |_| Outcome::Done)
        }
    }
}

/// Runs a handler until the queue is empty.
async fn run(queue: &MemoryQueue, handler: impl Handler) -> anyhow::Result<Summary> {
    let (stop, consumer) = (CancellationToken::new(), Consumer::builder(queue.clone()).handler(handler).build()?);
    let running = tokio::spawn(consumer.run(stop.clone()));
    while !queue.is_empty() {
        sleep(Duration::from_secs(1)).await;
    }
    stop.cancel();
    Ok(running.await?)
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> anyhow::Result<()> {
    // One request in five is throttled, and one answer in five gets lost on its way.
    let faults = Faults { throttled: 0.2, lost_answers: 0.2, ..Faults::default() };
    let queue =
        MemoryQueue::builder("dues").dead_letter_queue(&MemoryQueue::new("odd"), 100).faults(faults).seed(7).build();
    for due in ["30", "50", "much", "40"] {
        queue.send(due)?;
    }
    let money = Arc::new(AtomicU32::new(100));
    let (started, pay_day, later) = (Instant::now(), Duration::from_hours(15), Arc::clone(&money));
    tokio::spawn(async move {
        sleep(pay_day).await;
        later.fetch_add(100, Ordering::SeqCst);
    });

    let summary = run(&queue, payer(Arc::clone(&money))).await?;
    ensure!(money.load(Ordering::SeqCst) == 80, "each is paid once, whatever was lost on the way");
    ensure!(!queue.dead_letters().is_empty() && summary.rejected == 1, "the odd one is out");
    ensure!(started.elapsed() > pay_day, "the last was paid after pay day");
    println!(
        "{} paid, {} rejected, in {} hours",
        summary.handled - summary.rejected,
        summary.rejected,
        started.elapsed().as_secs() / 3600
    );
    Ok(())
}
