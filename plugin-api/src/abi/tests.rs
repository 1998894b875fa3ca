mod header;

use std::mem::{align_of, size_of};
use std::time::{Duration, SystemTime};

use abi_stable::std_types::{ROption, RString, RVec, Tuple2};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use regent_oci::{Digest, MediaType, RepositoryName, Tag};
use regent_transport::{Class, Retry, TransportError};
use secrecy::ExposeSecret;

use super::values::{Wire, cut, take_error, take_secret, take_time};
use super::*;
use crate::bounds;
use crate::driver::{Authorization, Check, Content, Outcome, Page, PageRequest, TagDetail, Validation};
use crate::error::Error;

/// These numbers never change in 1.x: a struct that grows breaks every driver that is out there.
#[test]
#[cfg(target_pointer_width = "64")]
fn wire_structs_keep_their_sizes() {
    let rows = [
        ("WireEmpty", size_of::<WireEmpty>(), 32),
        ("WireConnect", size_of::<WireConnect>(), 128),
        ("WireError", size_of::<WireError>(), 160),
        ("WireDuration", size_of::<WireDuration>(), 16),
        ("WireTime", size_of::<WireTime>(), 24),
        ("WirePageRequest", size_of::<WirePageRequest>(), 80),
        ("WireNames", size_of::<WireNames>(), 104),
        ("WireTagDetails", size_of::<WireTagDetails>(), 104),
        ("WireTagDetail", size_of::<WireTagDetail>(), 144),
        ("WireValidation", size_of::<WireValidation>(), 96),
        ("WireCheck", size_of::<WireCheck>(), 104),
        ("WireAccess", size_of::<WireAccess>(), 72),
        ("WireAuthorization", size_of::<WireAuthorization>(), 160),
        ("WireHeader", size_of::<WireHeader>(), 104),
        ("WireContentRequest", size_of::<WireContentRequest>(), 96),
        ("WireContent", size_of::<WireContent>(), 96),
        ("WireBlob", size_of::<WireBlob>(), 40),
        ("WireBytes", size_of::<WireBytes>(), 64),
        ("WireRequest", size_of::<WireRequest>(), 184),
        ("WireResponse", size_of::<WireResponse>(), 104),
        ("WireTransportError", size_of::<WireTransportError>(), 112),
        ("WireVariable", size_of::<WireVariable>(), 72),
    ];
    let changed: Vec<_> = rows.iter().filter(|(_, size, expected)| size != expected).collect();
    assert!(changed.is_empty(), "{changed:?}");
    assert_eq!(align_of::<WireError>(), 8);
}

fn round<T: Wire>(value: T) -> crate::error::Result<T> {
    T::from_wire(value.to_wire())
}

#[test]
fn every_class_and_retry_crosses() {
    for class in Class::ALL {
        for retry in [Retry::Never, Retry::Backoff, Retry::After(Duration::new(7, 9))] {
            let error = Error::new(class, "a_code", "a message").with_retry(retry).with_detail("k", "v");
            assert_eq!(round(error.clone()).expect("an error"), error);
        }
    }
}

#[test]
fn unknown_numbers_have_a_reading() {
    let mut error = Error::not_found("x").to_wire();
    (error.class, error.retry) = (999, 999);
    error.message = "long ".repeat(1000).into();
    error.ext.push(Tuple2("later".into(), "version".into()));
    let error = take_error(error);
    assert_eq!((error.class(), error.retry()), (Class::Internal, Retry::Never));
    assert_eq!(error.message().len(), Error::MAX_MESSAGE_BYTES);

    let check = Check { name: "reached".into(), outcome: Outcome::Passed, detail: String::new() };
    let mut validation = Validation { registry: "r".into(), checks: vec![check] }.to_wire();
    validation.checks[0].outcome = 77;
    assert_eq!(Validation::from_wire(validation).expect("valid").checks[0].outcome, Outcome::Failed);

    let wire = WireTransportError {
        kind: 99,
        host: "h".into(),
        reason: "r".into(),
        limit_bytes: 0,
        ext: Ext::new(),
    };
    let broken = TransportError::Broken { host: "h".into(), reason: "r".into() };
    assert_eq!(message::take_transport_error(wire), broken);
}

#[test]
fn answers_that_break_the_contract_are_errors() {
    let names = |items: RVec<RString>| WireNames { items, next: ROption::RNone, ext: Ext::new() };
    let long = WireNames { next: ROption::RSome("x".repeat(10_000).into()), ..names(RVec::new()) };
    let rows: [(&str, Option<Error>); 4] = [
        ("upper case", Page::<RepositoryName>::from_wire(names(vec!["Bad/Name".into()].into())).err()),
        ("a path", Page::<Tag>::from_wire(names(vec!["../x".into()].into())).err()),
        ("too many", Page::<Tag>::from_wire(names(vec!["x".into(); 100_001].into())).err()),
        ("a long cursor", Page::<Tag>::from_wire(long).err()),
    ];
    for (name, error) in rows {
        let error = error.expect(name);
        assert_eq!((error.code(), error.class()), ("driver_contract_broken", Class::Internal), "{name}");
    }
    for endpoint in ["ftp://x/", "not a url", "data:text/plain,x"] {
        let mut wire = authorization().to_wire();
        wire.endpoint = endpoint.into();
        assert!(Authorization::from_wire(wire).is_err(), "{endpoint}");
    }
    let mut wire = authorization().to_wire();
    wire.headers[0].value = b"top s3cr3t\r\nx: y".to_vec().into();
    let error = Authorization::from_wire(wire).expect_err("a line break");
    assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
    let content = WireContent {
        media_type: "a/b".into(),
        bytes: vec![0; regent_oci::MAX_MANIFEST_BYTES + 1].into(),
        ext: Ext::new(),
    };
    assert!(Content::from_wire(content).is_err(), "too large");
}

#[test]
fn what_is_more_than_its_bound_is_an_error_that_says_so() {
    let header = |value: usize| {
        (HeaderName::from_static("x-plain"), HeaderValue::try_from("y".repeat(value)).unwrap())
    };
    let with = |headers| Authorization { headers, ..authorization() };
    let mut far = authorization();
    far.endpoint.set_path(&"x".repeat(bounds::MAX_URL_BYTES));
    let check = Check::passed("reached", "");
    let content = Content { media_type: MediaType::new(&"x".repeat(300)), bytes: Bytes::new() };
    let at = |what: &str, result: crate::error::Result<()>, words: &str| {
        let error = result.expect_err(what);
        assert_eq!(error.code(), "driver_contract_broken", "{what}");
        assert!(error.message().contains(words), "{what}: {}", error.message());
    };
    at("headers", round(with(vec![header(1); 65])).map(drop), "65 headers, at most 64");
    at(
        "bytes of headers",
        round(with(vec![header(40_000); 2])).map(drop),
        "80014 bytes of headers, at most 65536",
    );
    at("an endpoint", round(far).map(drop), "bytes of an endpoint, at most 16384");
    at(
        "checks",
        round(Validation { registry: String::new(), checks: vec![check; 65] }).map(drop),
        "65 checks, at most 64",
    );
    at("a media type", round(content).map(drop), "300 bytes of a media type, at most 256");
    // The most there may be is none too much.
    assert!(round(with(vec![header(1); 64])).is_ok());
}

fn authorization() -> Authorization {
    let mut secret = HeaderValue::from_static("Bearer x");
    secret.set_sensitive(true);
    Authorization {
        endpoint: "https://registry.example.com/".parse().expect("a URL"),
        repository: "a/b".parse().expect("a name"),
        headers: vec![
            (http::header::AUTHORIZATION, secret),
            (HeaderName::from_static("x-plain"), HeaderValue::from_static("y")),
        ],
        expires: Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(1_767_225_600_123_456_789)),
    }
}

#[test]
fn an_authorization_crosses_with_its_marks() {
    let crossed = round(authorization()).expect("it crosses");
    let marks: Vec<_> = crossed.headers.iter().map(|(_, value)| value.is_sensitive()).collect();
    assert_eq!(marks, [true, false]);
    assert_eq!(format!("{crossed:?}"), format!("{:?}", authorization()));
}

#[test]
fn times_out_of_range_are_no_panic() {
    let distance = WireDuration { seconds: u64::MAX, nanoseconds: u32::MAX };
    assert_eq!(take_time(WireTime { before_1970: false, distance }), None);
    assert_eq!(take_time(WireTime { before_1970: true, distance }), None);
    assert_eq!(Duration::from(distance).as_secs(), u64::MAX);
}

#[test]
fn secrets_and_cut_text_keep_their_characters() {
    assert_eq!(take_secret("pässwörd".into()).expose_secret(), "pässwörd");
    assert_eq!(cut("äöü".into(), 3), "ä");
    assert_eq!(cut("äöü".into(), 6), "äöü");
}

proptest! {
    #[test]
    fn pages_cross(names in proptest::collection::vec("[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,2}", 0..20), next: Option<String>) {
        let items: Vec<RepositoryName> = names.iter().map(|n| n.parse().expect("a name")).collect();
        let page = Page { items, next: next.map(crate::driver::Cursor) };
        prop_assert_eq!(round(page.clone()).expect("it crosses"), page);
    }

    #[test]
    fn page_requests_cross(size: u32, after: Option<String>) {
        let request = PageRequest { size, after: after.map(crate::driver::Cursor) };
        prop_assert_eq!(round(request.clone()).expect("it crosses"), request);
    }

    #[test]
    fn tag_details_cross(seconds in -1_000_000_000_000i64..1_000_000_000_000, nanos in 0u32..1_000_000_000, size: Option<u64>) {
        let distance = Duration::new(seconds.unsigned_abs(), nanos);
        let epoch = SystemTime::UNIX_EPOCH;
        let pushed = if seconds < 0 { epoch - distance } else { epoch + distance };
        let tag = "latest".parse().expect("a tag");
        let detail = TagDetail { tag, digest: Digest::sha256(b"x"), pushed: Some(pushed), size_bytes: size };
        let page = Page::only(vec![detail]);
        prop_assert_eq!(round(page.clone()).expect("it crosses"), page);
    }

    #[test]
    fn headers_cross(value in proptest::collection::vec(any::<u8>(), 0..40), sensitive: bool) {
        if let Ok(mut value) = HeaderValue::from_bytes(&value) {
            value.set_sensitive(sensitive);
            let name = HeaderName::from_static("x-test");
            let (_, crossed) = message::take_header(message::give_header(&name, &value)).expect("it crosses");
            prop_assert_eq!((&crossed, crossed.is_sensitive()), (&value, sensitive));
        }
    }
}
