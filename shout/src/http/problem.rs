//! What is answered when there is no text.

use axum::http::{Method, Uri};
use upbeat_service::Problem;

use crate::error::{ShoutError, seconds};

/// In a moment there may be room.
pub(super) fn busy(detail: &str) -> Problem {
    Problem::new(503, detail).retry_after(1)
}

impl From<ShoutError> for Problem {
    fn from(error: ShoutError) -> Self {
        let status = match error {
            ShoutError::Failed(_) | ShoutError::Wrong(_) => 502,
            ShoutError::Late(_) => 504,
            ShoutError::Postponed(_) | ShoutError::Paused(_) | ShoutError::Full => 503,
        };
        Self::new(status, error.to_string()).retry_after(seconds(error.retry_after()))
    }
}

pub(super) async fn not_found(uri: Uri) -> Problem {
    Problem::new(404, format!("there is nothing at {}; texts are posted to /", uri.path()))
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(405, format!("{} is not for {method}; texts are posted to /", uri.path()))
}
