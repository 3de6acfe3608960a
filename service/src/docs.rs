//! The page at `/docs`: the description of a service's interface, and forms to try it. All of it is in the binary.

use axum::Router;
use axum::routing::get;

use crate::page::asset;

/// The page's routes, for a service that has its figures at this path, and `/openapi.json`.
pub fn routes(figures: &'static str) -> Router {
    let html = include_str!("docs/index.html").replace("FIGURES", figures);
    Router::new()
        .route("/docs", get(async move || asset("text/html; charset=utf-8", html.clone())))
        .route("/docs.css", get(async || asset("text/css; charset=utf-8", include_str!("docs/docs.css"))))
        .route("/docs.js", get(async || asset("text/javascript; charset=utf-8", include_str!("docs/docs.js"))))
}
