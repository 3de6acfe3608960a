//! What every service needs of AWS: a region, credentials, an endpoint.

use std::env::var;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature as Source;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use axum::http::Uri;
use tokio::time::timeout;

use super::{Check, Report};
use crate::aws::load;

/// Credentials are looked for in several places, some of them across the network.
const LIMIT: Duration = Duration::from_secs(10);

/// Looks at region, credentials and the endpoints of these services, such as `SQS`.
/// `None` where no call could be made: what follows has no chance.
pub async fn aws<W: Write>(report: &mut Report<W>, services: &[&str]) -> io::Result<Option<SdkConfig>> {
    let Ok(config) = timeout(LIMIT, load()).await else {
        report.add(&Check::fail(
            "region",
            format!("not found within {LIMIT:?}"),
            "set AWS_REGION, and AWS_EC2_METADATA_DISABLED=true outside of EC2",
        ))?;
        return Ok(None);
    };
    let region = config.region().map(AsRef::as_ref).filter(|region: &&str| !region.is_empty());
    report.add(&region_check(region))?;

    let found = match config.credentials_provider() {
        Some(provider) => timeout(LIMIT, provider.provide_credentials()).await.ok(),
        None => Some(Err(CredentialsError::not_loaded("no provider"))),
    };
    let has_credentials = matches!(found, Some(Ok(_)));
    report.add(&credentials_check(found, SystemTime::now()))?;

    let mut endpoints_are_urls = true;
    let own = services.iter().filter_map(|service| {
        let variable = format!("AWS_ENDPOINT_URL_{service}");
        var(&variable).ok().filter(|url| !url.is_empty()).map(|url| (variable, url))
    });
    let shared = config.endpoint_url().map(|url| ("AWS_ENDPOINT_URL".to_owned(), url.to_owned()));
    let set: Vec<_> = own.chain(shared).collect();
    for (variable, url) in &set {
        endpoints_are_urls &= is_url(url);
        report.add(&endpoint_check(variable, url))?;
    }
    if set.is_empty() {
        report.add(&Check::ok("endpoint", "AWS's own in the region; AWS_ENDPOINT_URL is not set"))?;
    }
    let complete = region.is_some() && has_credentials && endpoints_are_urls;
    Ok(complete.then_some(config))
}

fn region_check(region: Option<&str>) -> Check {
    match region {
        Some(region) => Check::ok("region", region),
        None => Check::fail("region", "none", "set AWS_REGION, such as us-east-1, or region in the AWS profile"),
    }
}

/// `None` for a provider that did not answer.
fn credentials_check(found: Option<Result<Credentials, CredentialsError>>, now: SystemTime) -> Check {
    let what = "credentials";
    match found {
        None => Check::fail(
            what,
            format!("no answer within {LIMIT:?}"),
            "see whether the place they come from can be reached (instance metadata, SSO, STS)",
        ),
        Some(Err(error)) => Check::fail(
            what,
            format!("none: {}", first_line(&cause(&error))),
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, run `aws sso login`, or give the pod a role",
        ),
        Some(Ok(credentials)) => {
            let detail = format!("{}, access key {}", source(&credentials), masked(credentials.access_key_id()));
            let left = credentials.expiry().map(|expiry| expiry.duration_since(now).unwrap_or_default());
            match left {
                None => Check::ok(what, detail),
                Some(Duration::ZERO) => {
                    Check::fail(what, format!("{detail}, expired"), "renew them, such as by `aws sso login`")
                }
                Some(left) => {
                    let left = humantime::format_duration(Duration::from_secs(left.as_secs()));
                    Check::ok(what, format!("{detail}, expires in {left}"))
                }
            }
        }
    }
}

/// Where they come from, as far as the SDK tells; the last step is the one that gave them.
fn source(credentials: &Credentials) -> &'static str {
    let steps = credentials.get_property::<Vec<Source>>();
    let last = steps.and_then(|steps| steps.iter().rfind(|step| **step != Source::ResolvedAccountId));
    match last {
        Some(Source::CredentialsCode) => "from the program itself",
        Some(Source::CredentialsEnvVars) => "from environment variables",
        Some(
            Source::CredentialsProfile
            | Source::CredentialsProfileSourceProfile
            | Source::CredentialsProfileNamedProvider,
        ) => "from an AWS profile",
        Some(Source::CredentialsEnvVarsStsWebIdToken | Source::CredentialsStsAssumeRoleWebId) => {
            "from STS by a web identity token, as in a pod with a role"
        }
        Some(Source::CredentialsStsAssumeRole) => "from STS by an assumed role",
        Some(Source::CredentialsSso | Source::CredentialsProfileSso) => "from SSO",
        Some(Source::CredentialsProcess | Source::CredentialsProfileProcess) => "from a credential process",
        Some(Source::CredentialsHttp) => "from an HTTP endpoint, as in ECS or EKS",
        Some(Source::CredentialsImds) => "from the instance's metadata service",
        _ => "found, the SDK does not say where",
    }
}

/// The last four characters of an access key's id that is long enough to keep the rest to itself.
fn masked(id: &str) -> String {
    let tail = id.len().checked_sub(4).filter(|start| *start >= 12 && id.is_char_boundary(*start));
    tail.map_or_else(|| "…".to_owned(), |start| format!("…{}", &id[start..]))
}

fn endpoint_check(variable: &str, url: &str) -> Check {
    if is_url(url) {
        Check::ok("endpoint", format!("{} ({variable})", without_user(url)))
    } else {
        let advice = format!("write {variable} as a URL, such as http://localhost:4566, or unset it to use AWS");
        Check::fail("endpoint", format!("{} is no URL", without_user(url)), advice)
    }
}

fn is_url(text: &str) -> bool {
    let uri = text.parse::<Uri>();
    uri.is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}

/// A password in a URL is nobody's business.
fn without_user(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

/// The SDK goes on with a line for each place where there are none.
fn first_line(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default().trim_end();
    line.strip_suffix(". Attempted:").unwrap_or(line)
}

fn cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_region_that_is_missing_is_a_fault_that_names_the_variable() {
        assert_eq!(region_check(Some("eu-west-1")).level, Level::Ok);
        let missing = region_check(None);
        assert_eq!(missing.level, Level::Fail);
        assert!(missing.advice.unwrap().contains("AWS_REGION"));
    }

    #[test]
    fn neither_the_secret_nor_the_whole_key_is_told() {
        let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "very-secret", Some("token".into()), None, "test");
        let check = credentials_check(Some(Ok(credentials)), SystemTime::UNIX_EPOCH);
        assert_eq!(check.level, Level::Ok);
        assert!(check.detail.contains("…MPLE"), "{}", check.detail);
        for secret in ["AKIA", "secret", "token"] {
            assert!(!check.detail.contains(secret), "{}", check.detail);
        }
        assert_eq!(masked("test"), "…");
    }

    #[test]
    fn credentials_that_are_missing_late_or_expired_are_a_fault_with_what_to_do() {
        let expired = Credentials::new("a", "b", None, Some(SystemTime::UNIX_EPOCH), "test");
        for found in [None, Some(Err(CredentialsError::not_loaded("nowhere"))), Some(Ok(expired))] {
            let check = credentials_check(found, SystemTime::now());
            assert_eq!(check.level, Level::Fail, "{check:?}");
            assert!(check.advice.is_some());
        }
        assert_eq!(first_line("no credentials found. Attempted:\n  Environment: no"), "no credentials found");
    }

    #[test]
    fn an_endpoint_without_a_scheme_is_a_fault_and_a_password_in_it_is_not_shown() {
        assert_eq!(endpoint_check("AWS_ENDPOINT_URL", "localhost:4566").level, Level::Fail);
        let good = endpoint_check("AWS_ENDPOINT_URL", "http://user:pass@localhost:4566");
        assert_eq!((good.level, good.detail.as_str()), (Level::Ok, "http://localhost:4566 (AWS_ENDPOINT_URL)"));
    }
}
