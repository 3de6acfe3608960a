//! The SDK's own signer says what is right.

use std::time::{Duration, UNIX_EPOCH};

use aws_runtime::auth::SigningOptions;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode, sign};
use aws_sigv4::sign::v4;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_types::region::Region;
use proptest::prelude::*;

use super::*;

/// A request, and with what it is signed.
#[derive(Clone, Debug)]
struct Given {
    method: &'static str,
    uri: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    token: Option<String>,
    region: String,
    second: u64,
}

impl Given {
    fn plain() -> Self {
        Self {
            method: "POST",
            uri: "http://127.0.0.1:4566/".to_owned(),
            headers: vec![("x-amz-target".to_owned(), "AmazonSQS.ReceiveMessage".to_owned())],
            body: b"{}".to_vec(),
            token: None,
            region: "eu-west-1".to_owned(),
            second: 1_700_000_000,
        }
    }

    fn request(&self) -> HttpRequest {
        let mut request = HttpRequest::new(SdkBody::from(self.body.clone()));
        request.set_method(self.method).unwrap();
        request.set_uri(self.uri.clone()).unwrap();
        for (name, value) in &self.headers {
            request.headers_mut().append(name.clone(), value.clone());
        }
        request
    }

    fn identity(&self) -> Identity {
        Credentials::new("AKID", "secret", self.token.clone(), None, "test").into()
    }

    fn config(&self) -> ConfigBag {
        let mut layer = Layer::new("test");
        layer.store_put(SigV4OperationSigningConfig {
            region: Some(SigningRegion::from(Region::new(self.region.clone()))),
            region_set: None,
            name: Some(SigningName::from_static("sqs")),
            signing_options: SigningOptions::default(),
        });
        ConfigBag::of_layers(vec![layer])
    }

    fn time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.second)
    }

    /// The headers to add. `None`: it is left to the SDK.
    fn signed(&self, signer: &Signer) -> Option<Vec<(&'static str, String)>> {
        let endpoint = AuthSchemeEndpointConfig::empty();
        let added = signer.sign(&self.request(), &self.identity(), &endpoint, &self.config(), self.time())?;
        let mut headers = vec![("authorization", added.authorization), ("x-amz-date", added.date)];
        headers.extend(added.token.map(|token| ("x-amz-security-token", token)));
        Some(headers)
    }

    /// The same by the SDK.
    fn signed_by_the_sdk(&self) -> Vec<(&'static str, String)> {
        let (request, identity) = (self.request(), self.identity());
        let mut settings = SigningSettings::default();
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Enabled;
        let parameters = v4::SigningParams::builder().identity(&identity).region(&self.region).name("sqs");
        let parameters = parameters.time(self.time()).settings(settings).build().unwrap().into();
        let body = SignableBody::Bytes(request.body().bytes().unwrap());
        let request = SignableRequest::new(request.method(), request.uri(), request.headers().iter(), body).unwrap();
        let (instructions, _) = sign(request, &parameters).unwrap().into_parts();
        let mut headers: Vec<_> =
            instructions.into_parts().0.iter().map(|header| (header.name(), header.value().to_owned())).collect();
        headers.sort_unstable();
        headers
    }
}

fn plain() -> impl Strategy<Value = Given> {
    let header = ("(x-amz|amz-sdk|content|user)-[a-z]{1,8}", "[!-~]( ?[!-~]{1,5}){0,4}");
    let host =
        prop::sample::select(vec!["http://localhost:80", "https://sqs.eu-west-1.amazonaws.com", "http://h:4566/"]);
    let parts = (
        host,
        prop::collection::btree_map(header.0, header.1, 0..8),
        prop::collection::vec(any::<u8>(), 0..300),
        prop::option::of("[A-Za-z0-9+/=]{1,40}"),
        "[a-z]{2}-[a-z]{4}-[1-9]",
        0..4_000_000_000_u64,
    );
    parts.prop_map(|(uri, headers, body, token, region, second)| Given {
        uri: uri.to_owned(),
        headers: headers.into_iter().collect(),
        body,
        token,
        region,
        second,
        ..Given::plain()
    })
}

proptest! {
    #[test]
    fn a_request_is_signed_as_the_sdk_signs_it_also_by_a_signer_that_has_signed_others(
        requests in prop::collection::vec(plain(), 1..4)
    ) {
        let signer = Signer::default();
        for given in requests {
            prop_assert_eq!(given.signed(&signer), Some(given.signed_by_the_sdk()));
        }
    }
}

#[test]
fn requests_as_sqs_and_sns_get_them_are_signed_here_and_others_by_the_sdk() {
    let signer = Signer::default();
    assert!(Given::plain().signed(&signer).is_some());
    assert!(Given { token: Some("token".to_owned()), ..Given::plain() }.signed(&signer).is_some());
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    for other in [
        Given { method: "GET", ..Given::plain() },
        Given { uri: "http://h/path".to_owned(), ..Given::plain() },
        Given { uri: "http://h/?query=1".to_owned(), ..Given::plain() },
        Given { headers: vec![header("x-amz-a", "two  spaces")], ..Given::plain() },
        Given { headers: vec![header("x-amz-a", "1"), header("x-amz-a", "2")], ..Given::plain() },
    ] {
        assert_eq!(other.signed(&signer), None, "{other:?}");
    }
}

#[test]
fn a_key_serves_for_its_day_and_its_secret_only() {
    let signer = Signer::default();
    let day = Given::plain();
    let next_day = Given { second: day.second + 24 * 60 * 60, ..Given::plain() };
    for given in [&day, &next_day, &day] {
        assert_eq!(given.signed(&signer), Some(given.signed_by_the_sdk()));
    }
    let key = |secret| {
        signer.key(
            Scope { day: "20210130", region: "r", service: "s" },
            &Credentials::new("a", secret, None, None, "test"),
        )
    };
    assert!(Arc::ptr_eq(&key("one"), &key("one")));
    assert!(!Arc::ptr_eq(&key("one"), &key("two")));
    assert!(!format!("{:?}", key("hush")).contains("hush"));
}

#[test]
fn a_clock_that_is_wrong_leaves_signing_to_the_sdk() {
    let signer = Signer::default();
    signer.clock.tell_wrong();
    assert_eq!(Given::plain().signed(&signer), None);
}
