//! The page at `/`: what the service does and did in the last quarter of an hour, live.
//!
//! Every two seconds the service reads its own metrics as anybody could at `/metrics`, and keeps the figures of its
//! [`Board`]. Who opens the page is sent what is kept, by a stream of server-sent events at `/events`, and each sample
//! that follows: worked out and written once, however many look. It only shows; there is nothing to press but pause.
//!
//! All that the page needs is in the binary. It is strict about where its parts come from, and what a message says is
//! put into it as text.

mod events;
mod recent;

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

pub use recent::{Recent, Seen};

use crate::board::Board;
use crate::{Health, Metrics, Readiness};
use events::Events;

/// Nothing but our own script and style; nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the page is made of.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) board: &'static Board,
    pub(crate) path: &'static str,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) readiness: Readiness,
}

impl Page {
    /// The page's routes; its streams end with `close`, as does the sampling.
    pub(crate) fn routes(self, close: &CancellationToken) -> Router {
        let path = self.path;
        let events = Arc::new(Events::new(self));
        tokio::spawn(close.clone().run_until_cancelled_owned(Arc::clone(&events).sample()));
        let asset = |content_type, text| get(move || async move { asset(content_type, text) });
        Router::new()
            .route(path, asset("text/html; charset=utf-8", include_str!("page/assets/index.html")))
            .route("/page.css", asset("text/css; charset=utf-8", include_str!("page/assets/page.css")))
            .route("/page.js", asset("text/javascript; charset=utf-8", include_str!("page/assets/page.js")))
            .route("/plot.js", asset("text/javascript; charset=utf-8", include_str!("page/assets/plot.js")))
            .route("/icon.svg", asset("image/svg+xml", include_str!("page/assets/icon.svg")))
            .route("/events", get(events::stream).with_state((events, close.clone())))
    }
}

/// A part of a page, with the headers that keep the page to its own parts.
#[must_use]
pub fn asset(content_type: &'static str, text: impl Into<Cow<'static, str>>) -> impl IntoResponse {
    (headers(content_type), text.into())
}

fn headers(content_type: &'static str) -> [(HeaderName, &'static str); 5] {
    [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // After a new version is rolled out, all its parts are new.
        (CACHE_CONTROL, "no-cache"),
    ]
}
