//! The key by which requests of one day, region and service are signed.

use std::fmt;

use ring::hmac::{self, HMAC_SHA256};

/// What a key is good for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    /// Year, month and day.
    pub(super) day: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

pub(super) struct Key {
    day: String,
    region: String,
    service: String,
    secret: String,
    hmac: hmac::Key,
}

impl Key {
    /// AWS IAM User Guide, "Create a signed AWS API request", step 4.
    pub(super) fn derive(scope: Scope<'_>, secret: &str) -> Self {
        let Scope { day, region, service } = scope;
        let start = hmac::Key::new(HMAC_SHA256, format!("AWS4{secret}").as_bytes());
        let key = [day, region, service, "aws4_request"]
            .iter()
            .fold(start, |key, part| hmac::Key::new(HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref()));
        Self {
            day: day.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            secret: secret.to_owned(),
            hmac: key,
        }
    }

    pub(super) fn is_of(&self, scope: Scope<'_>, secret: &str) -> bool {
        let Scope { day, region, service } = scope;
        self.day == day && self.region == region && self.service == service && self.secret == secret
    }

    pub(super) const fn hmac(&self) -> &hmac::Key {
        &self.hmac
    }
}

/// Nothing secret.
impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { day, region, service, .. } = self;
        write!(formatter, "Key({day}/{region}/{service})")
    }
}
