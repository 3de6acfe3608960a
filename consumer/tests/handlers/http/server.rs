//! A small server that notes what it is asked and answers as told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use http::HeaderMap;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What is answered.
pub(crate) struct Reply {
    response: Response,
    after: Duration,
}

/// Ends with the test.
#[derive(Clone, Default)]
pub(crate) struct Server {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    dropped: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::body(status, Body::empty())
    }

    pub(crate) fn body(status: u16, body: impl Into<Body>) -> Self {
        let response = Response::builder().status(status).body(body.into()).unwrap();
        Self { response, after: Duration::ZERO }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.response.headers_mut().insert(name, value.parse().unwrap());
        self
    }

    pub(crate) fn after(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Reply + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in?from=queue", listener.local_addr().unwrap());
        let server = Self { url, ..Self::default() };
        let noting = server.clone();
        let routes = Router::new().fallback(move |request: Request| {
            let (server, answer) = (noting.clone(), answer.clone());
            async move { server.answer(request, answer).await }
        });
        let connections = Arc::clone(&server.connections);
        let listener = axum::serve::ListenerExt::tap_io(listener, move |_: &mut TcpStream| {
            connections.fetch_add(1, Ordering::SeqCst);
        });
        tokio::spawn(axum::serve(listener, routes).into_future());
        server
    }

    async fn answer(self, request: Request, answer: impl Fn(&Asked) -> Reply) -> Response {
        /// Counts an answer that was not waited for.
        struct Waited(Arc<AtomicUsize>, bool);
        impl Drop for Waited {
            fn drop(&mut self) {
                self.0.fetch_add(usize::from(!self.1), Ordering::SeqCst);
            }
        }
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 4 << 20).await.unwrap();
        let asked =
            Asked { method: parts.method.to_string(), path: parts.uri.to_string(), headers: parts.headers, body };
        let Reply { response, after } = answer(&asked);
        self.asked.lock().unwrap().push(asked);
        let mut waited = Waited(Arc::clone(&self.dropped), false);
        tokio::time::sleep(after).await;
        waited.1 = true;
        response
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Requests whose client went before the answer.
    pub(crate) fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// The URL of a server that reads a little and hangs up.
pub(crate) async fn closing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let _ = connection.read(&mut [0; 16 * 1024]).await;
        }
    });
    url
}
