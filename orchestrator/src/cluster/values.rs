//! How durations, sizes, ports, mounts and images are written: as Docker has it.

use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;

use super::model::HostPort;

/// `[host[:port]/]path[:tag][@digest]`, as the engine reads it.
#[expect(clippy::unwrap_used, reason = "a constant, which every test of this file compiles")]
static IMAGE: LazyLock<Regex> = LazyLock::new(|| {
    let part = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
    let host = "(?:[A-Za-z0-9-]+(?:\\.[A-Za-z0-9-]+)*|\\[[0-9a-fA-F:]+\\])(?::[0-9]+)?";
    let tag = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";
    let pattern = format!("^(?:{host}/)?{part}(?:/{part})*(?::{tag})?(?:@sha256:[0-9a-f]{{64}})?$");
    Regex::new(&pattern).unwrap()
});

/// The longest name that the engine takes.
const LONGEST_IMAGE: usize = 255;

/// A port that is published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Port {
    /// The node's address; empty for all of them.
    pub(super) address: String,
    /// The node's port; `None` for any that is free.
    pub(super) host: Option<u16>,
    /// The container's.
    pub(super) container: u16,
    pub(super) udp: bool,
}

impl Port {
    /// `80/tcp`.
    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.container, if self.udp { "udp" } else { "tcp" })
    }

    /// What a node has only one of.
    pub(super) fn taken(&self) -> Option<HostPort> {
        self.host.map(|port| HostPort { port, udp: self.udp })
    }
}

/// `1m30s`, `1.5h`, `500ms`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parts(text).ok_or_else(|| format!("{text:?} is no duration: write 500ms, 10s or 1m30s"))
}

/// As it is read.
pub(crate) fn written(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

fn parts(text: &str) -> Option<Duration> {
    let (mut rest, mut whole) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|next: char| !next.is_ascii_digit() && next != '.').filter(|digits| *digits > 0)?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|next: char| next.is_ascii_digit() || next == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        whole += number.parse::<f64>().ok()? * seconds;
        rest = after;
    }
    if text.is_empty() { None } else { Duration::try_from_secs_f64(whole).ok() }
}

/// `64m`, `1gb`, `512`: in bytes, a kilobyte of 1024.
pub(super) fn bytes(text: &str) -> Result<i64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.find(|next: char| !next.is_ascii_digit()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let times = match unit {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1_i64 << 10),
        "m" | "mb" => Some(1 << 20),
        "g" | "gb" => Some(1 << 30),
        _ => None,
    };
    let bytes = times.and_then(|times| number.parse::<i64>().ok()?.checked_mul(times));
    bytes.ok_or_else(|| format!("{text:?} is no size: write 64m, 1g, or a number of bytes"))
}

/// `8080:80`, `127.0.0.1:8080:80/udp`, `[::1]:8080:80`, `80`.
pub(super) fn port(text: &str) -> Result<Port, String> {
    let wrong = || format!("{text:?} is no port: write 8080:80, 127.0.0.1:8080:80/udp, or 80 for any free one");
    let (rest, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let udp = match protocol {
        "tcp" => false,
        "udp" => true,
        _ => return Err(wrong()),
    };
    if rest.contains('-') {
        return Err(format!("{text:?} is a range: write its ports one by one"));
    }
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
    let mut fields = rest.rsplitn(3, ':');
    let (container, host, address) = (fields.next().unwrap_or_default(), fields.next(), fields.next());
    let address = address.map(|address| address.trim_start_matches('[').trim_end_matches(']'));
    if address.is_some_and(|address| address.parse::<IpAddr>().is_err()) {
        return Err(wrong());
    }
    let host = match host {
        // An address, and whatever port is free there.
        Some("") if address.is_some() => None,
        host => host.map(number).transpose()?,
    };
    Ok(Port { address: address.unwrap_or_default().to_owned(), host, container: number(container)?, udp })
}

/// `name:/path`, `/folder:/path:ro`: as it is, if it is one.
pub(super) fn mount(text: &str) -> Result<(), String> {
    let fields: Vec<_> = text.split(':').collect();
    let (source, target, mode) = match fields[..] {
        [_] => return Err(format!("{text:?} would be lost with its container: write name:{text}, or use tmpfs")),
        [source, target] => (source, target, "rw"),
        [source, target, mode] => (source, target, mode),
        _ => return Err(format!("{text:?} is no mount: write name:/path or /folder:/path:ro")),
    };
    if source.starts_with(['.', '~']) {
        return Err(format!("{text:?} is a folder of this machine: write the whole path, which each node must have"));
    }
    if !(source.starts_with('/') || is_name(source)) || !target.starts_with('/') {
        return Err(format!("{text:?} is no mount: write name:/path or /folder:/path:ro"));
    }
    match mode {
        "rw" | "ro" => Ok(()),
        _ => Err(format!("{text:?}: what follows the path is rw or ro")),
    }
}

/// Whether Docker takes this for the name of a volume or a network.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Whether the engine takes this for an image's name.
pub(super) fn image(text: &str) -> Result<(), String> {
    if text.len() <= LONGEST_IMAGE && IMAGE.is_match(text) {
        Ok(())
    } else {
        Err(format!("{text:?} is no image: write nginx:1.27 or registry.example:5000/team/web:1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_docker_writes_them() {
        for (text, millis) in [("10s", 10_000), ("1m30s", 90_000), ("1.5h", 5_400_000), ("500ms", 500), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "10", "s", "10 s", "-1s", "1d", "1s2", "..s", "1e400h", &format!("{}h", "9".repeat(400))] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_read_as_docker_writes_them() {
        for (text, size) in [("512", 512), ("64m", 64 << 20), ("1G", 1 << 30), ("2kb", 2048), ("7b", 7)] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for bad in ["", "m", "1.5g", "-1", "64 m", "1t", "9999999999g"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ports_are_read_as_docker_writes_them() {
        let port = |text: &str| port(text).map(|port| (port.address.clone(), port.host, port.key()));
        for (text, address, host, key) in [
            ("80", "", None, "80/tcp"),
            ("8080:80", "", Some(8080), "80/tcp"),
            ("53:53/udp", "", Some(53), "53/udp"),
            ("127.0.0.1:8080:80", "127.0.0.1", Some(8080), "80/tcp"),
            ("127.0.0.1::80", "127.0.0.1", None, "80/tcp"),
            ("[::1]:8080:80", "::1", Some(8080), "80/tcp"),
            ("::1:8080:80", "::1", Some(8080), "80/tcp"),
        ] {
            assert_eq!(port(text), Ok((address.to_owned(), host, key.to_owned())), "{text}");
        }
        for bad in ["", ":80", "0", "80:0", "65536", "8000-8010:80", "80/sctp", "host:80:80", "a", "80:80:"] {
            assert!(port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn mounts_have_a_name_or_a_whole_path() {
        for good in ["data:/data", "data:/data:ro", "/srv/x:/x", "/srv/x:/x:rw"] {
            assert_eq!(mount(good), Ok(()), "{good}");
        }
        for bad in ["/data", "./x:/x", "~/x:/x", "data:data", "data:/data:z", "a b:/x", ":/x", "a:/b:ro:c"] {
            assert!(mount(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn images_are_names_that_the_engine_takes() {
        let digest = format!("web@sha256:{}", "0".repeat(64));
        for good in ["web", "web:1", "localstack/localstack:4.14.0", "reg.example:5000/a/b_c:v1.0-x", &digest] {
            assert_eq!(image(good), Ok(()), "{good}");
        }
        for bad in ["", "Web", "web:", "web: 1", "web@sha256:0", "/web", "a//b", "web:1 --privileged"] {
            assert!(image(bad).is_err(), "{bad}");
        }
    }
}
