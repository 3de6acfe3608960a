//! Handlers that say in their arguments what they need.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::sleep;
use upbeat_consumer::handler::{Attempt, FromMessage, Json, extract};
use upbeat_consumer::message::{Attribute, Attributes, CancelReason, Cancellation};
use upbeat_consumer::queue::memory::NewMessage;
use upbeat_consumer::{Message, Options, Outcome};

use crate::scene::{Running, consume_all, options, outcome_of, queue, queue_of, reasons, until};

#[derive(Debug, Deserialize)]
struct Order {
    item: String,
    count: u32,
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_given_what_its_arguments_ask_for() {
    let (queue, seen) = (queue(), Arc::<Mutex<Vec<String>>>::default());
    let message = NewMessage::new(r#"{"item": "pen", "count": 2}"#).attribute("colour", Attribute::string("blue"));
    queue.send(message).unwrap();
    let note = Arc::clone(&seen);
    let handler = extract(
        move |Json(order): Json<Order>,
              Attempt(attempt): Attempt,
              attributes: Attributes,
              message: Message,
              cancel: Cancellation| {
            let note = Arc::clone(&note);
            async move {
                assert_eq!((cancel.reason(), message.attempt()), (None, attempt));
                let colour = attributes.get("colour").and_then(Attribute::text).unwrap().to_owned();
                note.lock().unwrap().push(format!("{attempt}: {} {colour} {}", order.count, order.item));
                if attempt < 2 { Err("not yet") } else { Ok(()) }
            }
        },
    );
    let summary = consume_all(&queue, handler).await;
    assert_eq!(*seen.lock().unwrap(), ["1: 2 blue pen", "2: 2 blue pen"]);
    assert_eq!((summary.handled, summary.failed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_can_not_be_parsed_is_rejected_at_once_with_the_place_and_the_reason() {
    let bodies =
        ["not json", r#"{"item": "pen"}"#, r#"{"item": "pen", "count": -1}"#, r#"{"item": "pen", "count": 1} x"#];
    let queue = queue_of(bodies);
    let summary = consume_all(
        &queue,
        extract(|Json(order): Json<Order>| async move { assert!(order.item.is_empty(), "it is not run") }),
    )
    .await;
    assert_eq!((summary.received, summary.rejected, summary.failed), (4, 4, 0));
    let reasons = reasons(&queue);
    for (reason, hint) in reasons.iter().zip(["line 1 column 2", "missing field `count`", "invalid value", "trailing"])
    {
        assert!(reason.starts_with("the body is not the JSON expected: ") && reason.contains(hint), "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_extractor_of_ones_own_decides_what_becomes_of_a_message_it_finds_fault_with() {
    #[derive(Debug)]
    struct NotBefore;
    impl FromMessage for NotBefore {
        fn from_message(message: &Message) -> Result<Self, Outcome> {
            let ripe = message.attempt() > 1;
            if ripe { Ok(Self) } else { Err(Outcome::Retry { after: Duration::from_secs(90) }) }
        }
    }
    let queue = queue_of(["early"]);
    let outcome = outcome_of(&queue, options(), extract(|NotBefore| async {})).await;
    assert_eq!(outcome, Outcome::Retry { after: Duration::from_secs(90) });
}

#[tokio::test(start_paused = true)]
async fn a_handler_learns_by_its_cancellation_that_its_time_is_up() {
    let (queue, seen) = (queue_of(["slow"]), Arc::<Mutex<Vec<CancelReason>>>::default());
    let note = Arc::clone(&seen);
    let handler = extract(move |cancel: Cancellation| {
        let note = Arc::clone(&note);
        async move {
            let reason = cancel.cancelled().await;
            note.lock().unwrap().push(reason);
        }
    });
    let options = Options { handler_timeout: Duration::from_secs(3), ..options() };
    let running = Running::start(&queue, options, handler);
    sleep(Duration::from_secs(4)).await;
    until("it is told", || !seen.lock().unwrap().is_empty()).await;
    assert_eq!(*seen.lock().unwrap(), [CancelReason::Deadline]);
    running.stop().await;
}
