//! What every Upbeat service shares, in the order in which a service meets it:
//!
//! 1. [`settings`]: the flags and environment variables common to all, and the parsers of durations and sizes;
//! 2. [`logs`]: one event a line on standard output, as text or JSON;
//! 3. [`lifecycle`]: [`run`], the one way in which a service starts, serves HTTP, and stops on a signal;
//! 4. [`health`] and [`readiness`]: what `/health` and `/ready` answer from;
//! 5. [`http`]: the server of these two, with its access log and a service's own routes;
//! 6. [`mod@metrics`]: what is counted, and `/metrics`;
//! 7. [`traces`]: where spans go, by OTLP;
//! 8. [`healthcheck`](mod@healthcheck): the command that asks a running service, for images without a shell;
//! 9. [`aws`]: the SDK set up once for all, and its errors in words;
//! 10. [`connect`](mod@connect): waiting at start for what is not there yet;
//! 11. [`backoff`]: how long to wait after a failure, and [`breaker`]: when not to try at all;
//! 12. [`endpoint`] and [`client`]: where requests are posted to, and by what;
//! 13. [`doctor`]: what a service needs, looked at once and reported to who runs it;
//! 14. [`tokens`]: who may do what a service guards, by a file of bearer tokens;
//! 15. [`problem`], [`openapi`] and [`docs`]: what is answered when something is wrong, how interfaces are described, and
//!     the page that shows it.
//!
//! Nothing here knows of topics or queues.

pub mod aws;
pub mod backoff;
pub mod board;
pub mod breaker;
pub mod client;
pub mod connect;
pub mod docs;
pub mod doctor;
pub mod endpoint;
pub mod health;
pub mod healthcheck;
pub mod http;
pub mod lifecycle;
pub mod logs;
pub mod metrics;
pub mod openapi;
pub mod page;
pub mod problem;
pub mod readiness;
pub mod settings;
pub mod tokens;
pub mod traces;

pub use backoff::Backoff;
pub use breaker::Breaker;
pub use connect::connect;
pub use endpoint::Endpoint;
pub use health::Health;
pub use healthcheck::healthcheck;
pub use lifecycle::{About, Service, Stopped, run};
pub use metrics::Metrics;
pub use problem::Problem;
pub use readiness::Readiness;
pub use settings::{ServiceSettings, parse};
pub use traces::Traces;
