//! The page at `/docs`: the description of the interface, and forms to try it. All of it is in the binary.

use axum::Router;
use axum::routing::get;
use upbeat_service::page::asset;

pub(super) fn routes() -> Router {
    Router::new()
        .route("/docs", get(async || asset("text/html; charset=utf-8", include_str!("docs/index.html"))))
        .route("/docs.css", get(async || asset("text/css; charset=utf-8", include_str!("docs/docs.css"))))
        .route("/docs.js", get(async || asset("text/javascript; charset=utf-8", include_str!("docs/docs.js"))))
}
