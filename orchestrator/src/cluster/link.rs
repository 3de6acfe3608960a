//! An agent's way to the server: by TLS, with the node's certificate.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use async_trait::async_trait;
use axum::http::Method;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{info, warn};

use super::node::{Link, LinkError};
use super::tails::{Printed, Tail, Wanted};
use super::wire::{Orders, Report};
use crate::ask::{Refused, Servers};
use crate::http::cluster::Hello;
use crate::join::{Identity, renew};
use crate::tls::client::Https;

/// The most bytes of orders: of some ten thousand containers.
const MAX_ORDERS: usize = 64 * 1024 * 1024;

/// How often it is looked whether the certificate is to be renewed.
const RENEW_EVERY: Duration = Duration::from_hours(6);

/// The way to a server.
pub struct ServerLink {
    servers: Arc<Servers>,
    hello: Hello,
    now: Mutex<Now>,
    folder: PathBuf,
    wanted: mpsc::Sender<Tail>,
}

/// By what it is asked, and the last orders that it gave.
struct Now {
    identity: Arc<Identity>,
    client: Https,
    orders: Option<Arc<Orders>>,
    greeted: bool,
}

impl ServerLink {
    /// To these servers, as this node, which says this of itself.
    ///
    /// # Errors
    /// If who it is can't be shown.
    pub fn new(
        servers: Arc<Servers>,
        identity: Identity,
        hello: Hello,
        folder: PathBuf,
        wanted: mpsc::Sender<Tail>,
    ) -> anyhow::Result<Self> {
        let client = identity.client()?;
        let now = Now { identity: Arc::new(identity), client, orders: None, greeted: false };
        Ok(Self { servers, hello, now: Mutex::new(now), folder, wanted })
    }

    /// Renews the certificate when it is time, for as long as it is polled.
    pub async fn renew(&self) {
        loop {
            let identity = Arc::clone(&self.now().identity);
            if identity.is_due(SystemTime::now()) {
                let renewed = renew(&self.servers, &identity, &self.folder).await;
                match renewed.and_then(|identity| Ok((identity.client()?, identity))) {
                    Ok((client, identity)) => {
                        info!(node = %identity.name, "certificate renewed");
                        let mut now = self.now();
                        (now.client, now.identity) = (client, Arc::new(identity));
                    }
                    Err(error) => warn!(error = %format_args!("{error:#}"), "the certificate is not renewed"),
                }
            }
            sleep(RENEW_EVERY).await;
        }
    }

    /// Sends what a replica printed, which the server wants.
    ///
    /// # Errors
    /// If the server can't be reached, or wants it no more.
    pub async fn send(&self, id: u64, printed: &Printed) -> anyhow::Result<()> {
        let client = self.now().client.clone();
        let path = format!("/v1/agent/logs/{id}");
        self.servers.ask(&client, Method::POST, &path, printed, MAX_ORDERS).await.map(drop)
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn greet(&self, client: &Https) -> anyhow::Result<()> {
        if !self.now().greeted {
            self.servers.ask(client, Method::PUT, "/v1/agent", &self.hello, MAX_ORDERS).await?;
            self.now().greeted = true;
        }
        Ok(())
    }
}

#[async_trait]
impl Link for ServerLink {
    async fn exchange(&self, report: Report, waits: bool) -> Result<Arc<Orders>, LinkError> {
        let client = self.now().client.clone();
        self.greet(&client).await.map_err(told)?;
        let path = format!("/v1/agent/exchange?waits={waits}");
        let answer = self.servers.ask(&client, Method::POST, &path, &report, MAX_ORDERS).await;
        if let Err(error) = &answer
            && error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 404)
        {
            // It does not know what we are any more.
            self.now().greeted = false;
        }
        let answer = answer.map_err(told)?;
        if answer.is_empty() {
            // Those that we go by.
            let known = self.now().orders.clone().filter(|orders| Some(orders.stamp) == report.stamp);
            return Ok(known
                .unwrap_or_else(|| Arc::new(Orders { stamp: report.stamp.unwrap_or_default(), ..Orders::default() })));
        }
        let orders: Arc<Orders> = Arc::new(serde_json::from_slice(&answer).context("the orders can't be read")?);
        let Wanted { tails } = serde_json::from_slice(&answer).context("what is wanted can't be read")?;
        for tail in tails {
            // If there are too many, who asked is told to come again.
            drop(self.wanted.try_send(tail));
        }
        self.now().orders = Some(Arc::clone(&orders));
        Ok(orders)
    }
}

/// What is refused to a certificate is refused for good.
fn told(error: anyhow::Error) -> LinkError {
    let status = error.downcast_ref::<Refused>().map(|refused| refused.status);
    if status == Some(403) { LinkError::TakenOut } else { LinkError::Away(error) }
}
