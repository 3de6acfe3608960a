//! The default handler: logs the contents of each message.

use tracing::info;

use super::Handler;
use crate::message::Message;
use crate::outcome::Outcome;

/// Logs each message with its body and is done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Log;

impl Handler for Log {
    async fn handle(&self, message: Message) -> Outcome {
        info!(
            id = %message.id(),
            message_id = %message.delivery().message_id,
            attempt = message.attempt(),
            trace_id = message.trace_id(),
            body = %message.body(),
            "received"
        );
        Outcome::Done
    }
}
