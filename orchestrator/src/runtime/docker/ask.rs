//! Where a container is asked whether it is well.

use std::net::{IpAddr, SocketAddr};

use axum::http::Uri;

use crate::cluster::model::ProbeRule;
use crate::container::Ways;
use crate::runtime::NoAnswer;

/// Its own address if the engine is on this machine, else where the port is published on the engine's.
pub(super) fn url(engine: &str, ways: &Ways, rule: &ProbeRule) -> Result<Uri, NoAnswer> {
    let port = rule.port;
    let place = match elsewhere(engine) {
        None => {
            let own = ways.own.map(|own| SocketAddr::new(own, port).to_string());
            own.ok_or_else(|| unasked("it has no address of its own"))?
        }
        Some(host) if ways.host => format!("{host}:{port}"),
        Some(host) => {
            let published = ways.published.get(&port).into_iter().flatten();
            let reachable = published.filter(|place| !place.ip().is_loopback()).min();
            let place = reachable.ok_or_else(|| {
                unasked(format!("its node has no agent, and its port {port} is not published to other machines"))
            })?;
            if place.ip().is_unspecified() { format!("{host}:{}", place.port()) } else { place.to_string() }
        }
    };
    let url = format!("http://{place}{}", rule.path);
    url.parse().map_err(|_| unasked(format!("{url:?} is no address")))
}

fn unasked(why: impl Into<String>) -> NoAnswer {
    NoAnswer::Unasked(why.into())
}

/// The host of an engine that is not on this machine.
fn elsewhere(engine: &str) -> Option<String> {
    let uri: Uri = engine.parse().ok().filter(|_| !engine.starts_with("unix:"))?;
    let host = uri.host()?;
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    (!is_here).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn asked(engine: &str, ways: &Ways) -> Result<String, NoAnswer> {
        let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(5));
        let rule = ProbeRule { port: 80, path: "/health?x=1".to_owned(), interval, timeout };
        url(engine, ways, &rule).map(|url| url.to_string())
    }

    fn published(places: &[&str]) -> Ways {
        let places = places.iter().map(|place| place.parse().unwrap()).collect();
        Ways { own: Some("172.17.0.2".parse().unwrap()), published: [(80, places)].into(), host: false }
    }

    #[test]
    fn on_this_machine_a_container_is_asked_at_its_own_address() {
        for engine in ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "https://[::1]:2376", "tcp://localhost:1"]
        {
            let asked = asked(engine, &published(&["0.0.0.0:8080"]));
            assert_eq!(asked.as_deref(), Ok("http://172.17.0.2:80/health?x=1"), "{engine}");
        }
        let six = Ways { own: Some("fd00::2".parse().unwrap()), ..Ways::default() };
        assert_eq!(asked("unix:///s", &six).as_deref(), Ok("http://[fd00::2]:80/health?x=1"));
        assert!(matches!(asked("unix:///s", &Ways::default()), Err(NoAnswer::Unasked(_))));
    }

    #[test]
    fn on_another_machine_it_is_asked_where_its_port_is_published_for_others() {
        let engine = "https://10.0.0.7:2376";
        for (places, place) in [
            (&["0.0.0.0:8080", "[::]:8081"][..], "10.0.0.7:8080"),
            (&["127.0.0.1:9", "10.0.0.8:8082"], "10.0.0.8:8082"),
        ] {
            assert_eq!(asked(engine, &published(places)), Ok(format!("http://{place}/health?x=1")));
        }
        for ways in [published(&["127.0.0.1:8080"]), published(&[]), Ways::default()] {
            let told = asked(engine, &ways);
            assert!(
                matches!(&told, Err(NoAnswer::Unasked(why)) if why.contains("port 80 is not published")),
                "{told:?}"
            );
        }
        let host = Ways { host: true, own: Some("127.0.0.1".parse().unwrap()), ..Ways::default() };
        assert_eq!(asked(engine, &host).as_deref(), Ok("http://10.0.0.7:80/health?x=1"));
        assert_eq!(asked("tcp://[fd00::7]:2375", &host).as_deref(), Ok("http://[fd00::7]:80/health?x=1"));
    }
}
