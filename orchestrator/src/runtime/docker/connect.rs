//! How an engine is reached: by a socket on this machine, or over a network, by TLS or without it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::tls;
use crate::tls::client::Shows;

/// How long bollard lets an answer begin; callers have limits of their own. Longer than any grace period to stop.
const TIMEOUT: u64 = 600;

/// How long a connection by TLS is kept that nothing is asked on. A handshake for each question would be most of its cost.
const IDLE_CONNECTION: Duration = Duration::from_secs(10);

/// How engines by TLS are known, and what they are shown.
#[derive(Clone, Debug)]
pub struct EngineTls {
    /// A folder with `ca.pem`, `cert.pem` and `key.pem`, as Docker's own `DOCKER_CERT_PATH`. Only that authority is
    /// trusted.
    pub folder: PathBuf,
}

/// A client of the engine at this address. Blocks for as long as small files take to be read.
pub(super) fn connect(address: &str, tls: Option<&EngineTls>) -> anyhow::Result<Docker> {
    if address.starts_with("https://") {
        let tls = tls.context("an engine at https:// is known by its authority; see --engine-tls (ENGINE_TLS)")?;
        return by_tls(address, &tls.folder);
    }
    Ok(if address.starts_with("tcp://") {
        Docker::connect_with_http(address, TIMEOUT, API_DEFAULT_VERSION)
    } else {
        // It wants the socket to be there already.
        Docker::connect_with_unix(address, TIMEOUT, API_DEFAULT_VERSION)
    }?)
}

/// By our own connector: bollard's would trust every authority of the system besides.
fn by_tls(address: &str, folder: &Path) -> anyhow::Result<Docker> {
    let authorities = tls::certificates(&folder.join("ca.pem"))?;
    let shows =
        Shows { chain: tls::certificates(&folder.join("cert.pem"))?, key: tls::private_key(&folder.join("key.pem"))? };
    let connector = tls::client::engine(authorities, shows)?;
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_CONNECTION)
        .build(connector);
    let ask = move |request: BollardRequest| {
        let client = client.clone();
        async move { client.request(request).await.map_err(bollard::errors::Error::from) }
    };
    Ok(Docker::connect_with_custom_transport(ask, Some(address), TIMEOUT, API_DEFAULT_VERSION)?)
}
