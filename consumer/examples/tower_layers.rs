//! A handler in layers of tower: its own timeout and concurrency limit, and a layer of one's own around them.
//!
//! Time is paused, so that it ends at once. `cargo run -p upbeat-consumer --example tower_layers`

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Layer, Service, ServiceBuilder, service_fn};
use upbeat_consumer::queue::memory::MemoryQueue;
use upbeat_consumer::{Consumer, Message, Options, handler};

/// Says how long each message took.
#[derive(Clone)]
struct Timed<S>(S);

/// Makes any service a timed one.
struct Timing;

impl<S> Layer<S> for Timing {
    type Service = Timed<S>;

    fn layer(&self, service: S) -> Timed<S> {
        Timed(service)
    }
}

impl<S> Service<Message> for Timed<S>
where
    S: Service<Message, Error = BoxError, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, message: Message) -> Self::Future {
        let (body, attempt, started) = (message.body().to_owned(), message.attempt(), Instant::now());
        let handled = self.0.call(message);
        Box::pin(async move {
            let result = handled.await;
            let how = result.as_ref().err().map_or_else(|| "handled".to_owned(), ToString::to_string);
            println!("{body}, attempt {attempt}: {how} after {} ms", started.elapsed().as_millis());
            result
        })
    }
}

/// One message is slow at its first attempt.
async fn handle(message: Message) -> Result<(), BoxError> {
    let slow = message.body() == "tortoise" && message.attempt() == 1;
    sleep(Duration::from_millis(if slow { 60_000 } else { 100 })).await;
    Ok(())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> anyhow::Result<()> {
    let queue = MemoryQueue::new("animals");
    for animal in ["hare", "tortoise", "fox"] {
        queue.send(animal)?;
    }
    let layers = ServiceBuilder::new().concurrency_limit(2).layer(Timing).timeout(Duration::from_millis(300));
    let options = Options { retry_first: Duration::from_millis(100), ..Options::default() };
    let handler = handler::service(layers.service(service_fn(handle)));
    let consumer = Consumer::builder(queue.clone()).handler(handler).options(options).build()?;
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));
    while !queue.is_empty() {
        sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    println!("{}", running.await?);
    Ok(())
}
