//! `moto`, an emulator of AWS that others have made (`PyPI`, `.tools/moto`): its STS and its ECR, without `/v2/`.
//!
//! It checks no signatures and no rights, ignores page sizes, and gives tokens that expired in 2015: what it proves is that
//! requests and answers are what an implementation by other hands takes them for. The rest is the business of
//! [`vendor::ecr`](crate::vendor::ecr).

use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::BodyExt as _;
use hyper::Response;
use serde_json::{Value, json};

use crate::artifacts;
use crate::http::{Server, client, whole};
use crate::image::Image;
use crate::process::{Process, free_port};

/// The account of whoever is not known.
pub const ACCOUNT: &str = "123456789012";

/// A running moto, behind a server that counts what is asked of it.
#[derive(Debug)]
pub struct Moto {
    _process: Process,
    front: Server,
    log: Arc<Mutex<Vec<String>>>,
}

impl Moto {
    /// Starts one, without anything in it.
    pub async fn start() -> Self {
        let port = free_port();
        let mut command = Command::new(artifacts::tools().join("moto/bin/moto_server"));
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        let mut process = Process::start("moto", &mut command);
        process.wait_for_port(port).await;
        let log = Arc::<Mutex<Vec<String>>>::default();
        let (seen, behind) = (Arc::clone(&log), client());
        let front = Server::start(move |request| {
            let (seen, behind) = (Arc::clone(&seen), behind.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let action = operation(&head.headers, &body);
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(action);
                let url = format!("http://127.0.0.1:{port}{}", head.uri.path());
                let sent =
                    behind.request(head.method, url).headers(head.headers).body(body).send().await.unwrap();
                let (status, content_type) = (sent.status(), sent.headers().get("content-type").cloned());
                let mut answer = Response::new(whole(sent.bytes().await.unwrap()));
                *answer.status_mut() = status;
                answer.headers_mut().extend(content_type.map(|value| (http::header::CONTENT_TYPE, value)));
                answer
            }
        })
        .await;
        Self { _process: process, front, log }
    }

    /// `127.0.0.1:port`.
    pub fn authority(&self) -> String {
        self.front.authority()
    }

    /// `http://127.0.0.1:port`, for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        self.front.url()
    }

    /// How often an operation was asked for so far.
    pub fn count(&self, operation: &str) -> usize {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().filter(|seen| *seen == operation).count()
    }

    /// A key for an account: what the session of a role there has. Anything is a key of [`ACCOUNT`].
    pub async fn key_of(&self, account: &str) -> String {
        let form = format!(
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::{account}:role/filler&RoleSessionName=filler"
        );
        let request = client()
            .post(self.url())
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", authorization("filler", "us-east-1", "sts"))
            .body(form);
        let text = request.send().await.unwrap().text().await.unwrap();
        let (_, rest) = text.split_once("<AccessKeyId>").unwrap_or_else(|| panic!("no key in {text}"));
        rest.split('<').next().unwrap().to_owned()
    }

    /// Makes a repository in the account of a key.
    pub async fn create_repository(&self, key: &str, region: &str, repository: &str) {
        let body = json!({ "repositoryName": repository });
        self.ask(key, region, "CreateRepository", &body).await;
    }

    /// Makes an image known, whose content is somewhere else: a registry of its own.
    pub async fn put_image(&self, key: &str, region: &str, repository: &str, tag: &str, image: &Image) {
        let manifest = std::str::from_utf8(&image.manifest).unwrap();
        let body = json!({
            "repositoryName": repository, "imageTag": tag, "imageManifest": manifest,
            "imageManifestMediaType": image.media_type, "imageDigest": image.digest().to_string(),
        });
        self.ask(key, region, "PutImage", &body).await;
    }

    async fn ask(&self, key: &str, region: &str, operation: &str, body: &Value) {
        let request = client()
            .post(self.url())
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("AmazonEC2ContainerRegistry_V20150921.{operation}"))
            .header("authorization", authorization(key, region, "ecr"))
            .body(body.to_string());
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{operation}: {status} {text}");
    }
}

/// No signature; moto reads the key and the region out of it.
fn authorization(key: &str, region: &str, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={key}/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=none"
    )
}

/// The operation that a request is for: of ECR by a header, of STS by a field.
fn operation(headers: &http::HeaderMap, body: &[u8]) -> String {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    if let Some((_, operation)) = target.and_then(|target| target.split_once('.')) {
        return operation.to_owned();
    }
    let mut form = url::form_urlencoded::parse(body);
    form.find(|(name, _)| name == "Action").map_or_else(String::new, |(_, value)| value.into_owned())
}
