//! The `healthcheck` command: asks the service that runs in the same container, without a shell or curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::settings::ServiceSettings;

/// Longer than a healthy service ever takes, and short enough for a probe.
const TIMEOUT: Duration = Duration::from_secs(2);
const MAX_ANSWER: usize = 64 * 1024;

/// Asks `/health` of the service that listens by these settings and prints the answer.
/// Exit code 0 when it is up, 1 when it is down, late or not there.
#[must_use]
pub fn healthcheck(settings: &ServiceSettings) -> ExitCode {
    let answer = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime");
    match answer.and_then(|runtime| runtime.block_on(ask(reachable(settings.listen)))) {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A service that listens on every address is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let loopback = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(loopback, listen.port())
}

async fn ask(address: SocketAddr) -> anyhow::Result<String> {
    let uri = format!("http://{address}/health").parse().context("not an address to ask")?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let answer = async {
        let answer = client.get(uri).await.with_context(|| format!("cannot reach {address}"))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed).context("cannot read the answer")?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        ensure!(status.is_success(), "{address} answered {status}: {body}");
        Ok(body)
    };
    tokio::time::timeout(TIMEOUT, answer)
        .await
        .with_context(|| format!("no answer from {address} within {TIMEOUT:?}"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_on_every_address_is_asked_on_loopback() {
        let asked = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:5000"), "127.0.0.1:5000");
        assert_eq!(asked("[::]:5000"), "[::1]:5000");
        assert_eq!(asked("127.0.0.2:80"), "127.0.0.2:80");
    }
}
