//! The `/v2/` half of an emulator, without its authorization (distribution-spec 1.1).

use std::borrow::Cow;

use bytes::Bytes;
use http::{Method, Response};
use serde_json::{Value, json};

use super::message::{Answer, Received, json as answer_json, text, with_header};
use super::operation::{Kind, Operation, Parameter, PathValues, Payload, Violation};
use super::store::Store;

/// Operation of `/v2/`: the version check.
pub const PING: &str = "v2";
/// Operation of `/v2/`: the catalog.
pub const CATALOG: &str = "v2 catalog";
/// Operation of `/v2/`: a repository's tags.
pub const TAGS: &str = "v2 tags";
/// Operation of `/v2/`: a manifest.
pub const MANIFEST: &str = "v2 manifest";
/// Operation of `/v2/`: a blob.
pub const BLOB: &str = "v2 blob";
/// Operation of the blob storage that `/v2/` redirects to.
pub const STORAGE: &str = "storage";

const SPECIFICATION: &str = "opencontainers/distribution-spec 1.1";

/// How a listing is paged.
#[derive(Debug, Clone, Copy)]
pub enum Paging {
    /// All at once; `n` changes nothing.
    Whole,
    /// `n` and `last`, a name; a relative link.
    Names {
        /// Items of a page without `n`; 0: all.
        default: usize,
        /// The most.
        max: usize,
    },
    /// `n` and `last`, how many there were so far; a relative link.
    Numbers {
        /// The most.
        max: usize,
    },
}

const LISTING: &[Parameter] = &[
    Parameter::optional("n", Kind::Integer { min: 1, max: 10_000 }),
    Parameter::optional("last", Kind::TEXT),
    Parameter::optional("orderby", Kind::Text { min: 0, max: 20 }),
];

const READING: &[&str] = &["GET", "HEAD"];

/// The operations of `/v2/` at a host, behind a prefix such as `/artifactory/api/docker/team` or none.
pub fn operations(host: &'static str, prefix: &str) -> Vec<Operation> {
    let rows: [(&str, &str, &[Parameter], &[&str]); 5] = [
        (PING, "/v2/", &[], &["GET"]),
        (CATALOG, "/v2/_catalog", LISTING, &["GET"]),
        (TAGS, "/v2/{name+}/tags/list", LISTING, &["GET"]),
        (MANIFEST, "/v2/{name+}/manifests/{reference}", &[], READING),
        (BLOB, "/v2/{name+}/blobs/{digest}", &[], READING),
    ];
    let operation = |(id, path, query, methods): (&'static str, &str, _, _)| Operation {
        id,
        source: SPECIFICATION,
        host,
        methods,
        path: Cow::Owned(format!("{prefix}{path}")),
        query,
        headers: &[],
        body: Payload::Nothing,
    };
    rows.into_iter().map(operation).collect()
}

/// The operation of the blob storage: signed URLs, which refuse a second credential.
pub fn storage(host: &'static str) -> Operation {
    const SIGNED: &[Parameter] = &[Parameter::required("signature", Kind::OneOf(&["valid"]))];
    const NO_CREDENTIAL: Kind = Kind::Like { example: "", counterexample: "Bearer x", fits: |_| false };
    const UNAUTHORIZED: &[Parameter] = &[Parameter::optional("authorization", NO_CREDENTIAL)];
    Operation {
        id: STORAGE,
        source: "Amazon S3, \"only one auth mechanism allowed\"",
        host,
        methods: READING,
        path: Cow::Borrowed("/blobs/{digest}"),
        query: SIGNED,
        headers: UNAUTHORIZED,
        body: Payload::Nothing,
    }
}

/// The answer for an operation of `/v2/` or the storage, for whoever is allowed it. `at_storage`: the host that blobs are redirected to, if
/// they are.
///
/// # Errors
/// [`Violation`].
pub fn answer(
    store: &Store,
    operation: &str,
    path: &PathValues,
    request: &Received,
    paging: Paging,
    at_storage: Option<&str>,
) -> Result<Answer, Violation> {
    let name = path.get("name").map_or("", String::as_str);
    match operation {
        PING => Ok(answer_json(200, &json!({}))),
        CATALOG => Ok(listed(request, paging, "repositories", store.repositories.keys().cloned().collect())),
        TAGS => Ok(match store.get(name) {
            Some(repository) => listed(request, paging, "tags", repository.tags.keys().cloned().collect()),
            None => error(404, "NAME_UNKNOWN"),
        }),
        MANIFEST => manifest(store, request, name, &path["reference"]),
        BLOB => Ok(match (store.blob_of(name, &path["digest"]), at_storage) {
            (None, _) => error(404, "BLOB_UNKNOWN"),
            (Some(_), Some(host)) => {
                let target = format!("https://{host}/blobs/{}?signature=valid", path["digest"]);
                with_header(text(307, "text/html", "<a>moved</a>"), "location", &target)
            }
            (Some(blob), None) => content(request, "application/octet-stream", blob.clone()),
        }),
        STORAGE => Ok(match store.blob(&path["digest"]) {
            Some(blob) => content(request, "binary/octet-stream", blob.clone()),
            None => text(404, "application/xml", "<Error><Code>NoSuchKey</Code></Error>"),
        }),
        other => panic!("{other} is no operation of /v2/"),
    }
}

/// An error of `/v2/`.
pub fn error(status: u16, code: &str) -> Answer {
    answer_json(status, &json!({ "errors": [{ "code": code, "message": "a message" }] }))
}

/// 401 with the challenge for a token.
pub fn challenge(realm: &str, service: &str, scope: Option<&str>) -> Answer {
    let scope = scope.map(|scope| format!(",scope=\"{scope}\"")).unwrap_or_default();
    let value = format!("Bearer realm=\"{realm}\",service=\"{service}\"{scope}");
    with_header(error(401, "UNAUTHORIZED"), "www-authenticate", &value)
}

/// A page of names, sorted, with a link to the next.
pub fn listed(request: &Received, paging: Paging, key: &str, mut all: Vec<String>) -> Answer {
    all.sort();
    let last = request.query("last");
    let (start, size) = match paging {
        Paging::Whole => (0, all.len()),
        Paging::Names { default, max } => {
            let size = match (request.number("n"), default) {
                (Some(n), _) => n.min(max),
                (None, 0) => all.len(),
                (None, default) => default,
            };
            (last.map_or(0, |last| all.partition_point(|name| name.as_str() <= last)), size)
        }
        Paging::Numbers { max } => {
            let size = request.number("n").map_or(all.len(), |n| n.min(max));
            (last.map_or(0, |last| last.parse().unwrap_or(usize::MAX)), size)
        }
    };
    let end = start.saturating_add(size).min(all.len());
    let page: Vec<String> = all.get(start..end).unwrap_or_default().to_vec();
    let following = match paging {
        Paging::Numbers { .. } => Some(end.to_string()),
        _ => page.last().cloned(),
    };
    let link = following.filter(|_| end < all.len()).map(|following| {
        let encoded: String = url::form_urlencoded::byte_serialize(following.as_bytes()).collect();
        format!("<{}?last={encoded}&n={size}>; rel=\"next\"", request.path)
    });
    let answer = answer_json(200, &json!({ "name": "name", key: page }));
    link.map_or(answer.clone(), |link| with_header(answer, "link", &link))
}

fn manifest(store: &Store, request: &Received, name: &str, reference: &str) -> Result<Answer, Violation> {
    let Some((digest, manifest)) = store.manifest(name, reference) else {
        return Ok(error(404, "MANIFEST_UNKNOWN"));
    };
    if !request.headers.contains_key("accept") || !request.accepts(&manifest.media_type) {
        return Err(Violation::new(404, format!("{} is not accepted", manifest.media_type)));
    }
    let answer = content(request, &manifest.media_type, manifest.content.clone());
    Ok(with_header(answer, "docker-content-digest", &digest.to_string()))
}

fn content(request: &Received, content_type: &str, bytes: Bytes) -> Answer {
    let answer =
        Response::builder().header("content-type", content_type).header("content-length", bytes.len());
    let body = if request.method == Method::HEAD { Bytes::new() } else { bytes };
    answer.body(body).unwrap()
}

/// The names among the scopes of a token request, as `repository:<name>:pull`; others are given back as they are.
pub fn scopes(pairs: &[(String, String)]) -> Vec<String> {
    let values = pairs.iter().filter(|(name, _)| name == "scope");
    values.flat_map(|(_, value)| value.split(' ')).filter(|s| !s.is_empty()).map(str::to_owned).collect()
}

/// A value as JSON text of an empty list as `null`, as some vendors write it.
pub fn null_if_empty(items: Vec<Value>) -> Value {
    if items.is_empty() { Value::Null } else { Value::from(items) }
}
