//! Where requests are posted to.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;

/// An `http` or `https` URL. A user and password in it are sent as basic authorization and shown nowhere.
///
/// ```
/// use upbeat_service::Endpoint;
///
/// let endpoint: Endpoint = "https://me:secret@example.com/orders?from=queue".parse().unwrap();
/// assert_eq!(endpoint.to_string(), "https://example.com/orders?from=queue");
/// assert!("example.com".parse::<Endpoint>().is_err());
/// ```
#[derive(Clone, Debug)]
pub struct Endpoint {
    uri: Uri,
    /// Marked as sensitive, so that it is not shown.
    authorization: Option<HeaderValue>,
}

/// Not a URL that can be posted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a URL such as http://127.0.0.1:8080/messages or https://example.com/messages")]
pub struct InvalidEndpoint;

impl Endpoint {
    /// The URL, without user and password.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// What user and password were, as a header.
    #[must_use]
    pub const fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Whether it is reached by TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(url: &str) -> Result<Self, InvalidEndpoint> {
        let uri: Uri = url.trim().parse().map_err(|_| InvalidEndpoint)?;
        let mut parts = uri.into_parts();
        let scheme = parts.scheme.as_ref().map(http::uri::Scheme::as_str);
        let authority = parts.authority.clone().ok_or(InvalidEndpoint)?;
        if !matches!(scheme, Some("http" | "https")) || authority.host().is_empty() {
            return Err(InvalidEndpoint);
        }
        let mut authorization = None;
        if let Some((user, host)) = authority.as_str().rsplit_once('@') {
            authorization = Some(basic(user)?);
            parts.authority = Some(host.parse().map_err(|_| InvalidEndpoint)?);
        }
        let uri = Uri::from_parts(parts).map_err(|_| InvalidEndpoint)?;
        Ok(Self { uri, authorization })
    }
}

/// RFC 7617: user and password, as they were before they were percent-encoded for the URL.
fn basic(user: &str) -> Result<HeaderValue, InvalidEndpoint> {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let decoded = [percent_decode_str(name).collect(), b":".to_vec(), percent_decode_str(password).collect()].concat();
    let value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(decoded)));
    let mut value = value.map_err(|_| InvalidEndpoint)?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_password_become_a_header_and_are_shown_nowhere() {
        let endpoint: Endpoint = "http://me:p%40ss@localhost:8080/in".parse().unwrap();
        assert_eq!(endpoint.authorization().unwrap(), &format!("Basic {}", BASE64_STANDARD.encode("me:p@ss")));
        assert_eq!(endpoint.uri(), "http://localhost:8080/in");
        let shown = format!("{endpoint} {endpoint:?}");
        assert!(!shown.contains("p@ss") && !shown.contains("p%40ss") && !shown.contains("Basic"), "{shown}");
    }

    #[test]
    fn what_can_not_be_posted_to_is_refused_with_what_would_do() {
        for bad in
            ["", "/path", "localhost:80", "ftp://host/", "http://", "http:///path", "http://a b/", "unix:///sock"]
        {
            let refused = bad.parse::<Endpoint>();
            assert!(refused.is_err_and(|error| error.to_string().contains("http://")), "{bad}");
        }
        assert!("https://[::1]:8443".parse::<Endpoint>().unwrap().is_https());
    }
}
