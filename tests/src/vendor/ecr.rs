//! Amazon ECR in three accounts and regions, with the STS that its roles are assumed at.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `table` | what both services take |
//! | [`signature`] | signatures, checked in full |
//! | [`identity`] | what gives a machine its credentials: containers and instances |
//! | `scene` | the vendor in the shared suite |

pub mod identity;
mod scene;
pub mod signature;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regent_oci::Digest;
use serde_json::{Value, json};

pub use scene::{EXTERNAL_ID, EcrScene, KEY, SECRET, role};
use signature::Signature;
pub use table::{
    ASSUME, ASSUME_WITH_WEB_IDENTITY, DESCRIBE_IMAGES, DESCRIBE_REPOSITORIES, GET_AUTHORIZATION_TOKEN,
    LIST_IMAGES, REGIONS, Region,
};

use super::distribution;
use super::emulator::Vendor;
use super::message::{Answer, Received, json as answer_json, text, with_header};
use super::operation::{Operation, PathValues, Violation};
use super::store::{Repository, Store};

/// "Valid for 12 hours", says the API of a token; it outlives the session here.
const TOKEN_LIFE: Duration = Duration::from_hours(12);
/// What a session lives if no one asks for more.
const SESSION_LIFE: Duration = Duration::from_hours(1);

/// The vendor: keys, roles, registries, tokens.
#[derive(Debug, Default)]
pub struct Ecr {
    keys: BTreeMap<String, Key>,
    roles: BTreeMap<String, Role>,
    registries: BTreeMap<&'static str, Store>,
    /// Passwords of the user `AWS`.
    tokens: BTreeMap<String, Token>,
    /// Images in the archive, by repository and digest.
    archived: BTreeSet<(String, Digest)>,
    issued: u64,
}

/// An access key.
#[derive(Debug, Clone)]
struct Key {
    secret: String,
    session: Option<String>,
    until: Option<SystemTime>,
    principal: Principal,
}

/// Who may do what.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Its account.
    pub account: String,
    /// Its ARN.
    pub arn: String,
    /// Actions of IAM.
    pub actions: BTreeSet<&'static str>,
}

/// A role, and who may assume it.
#[derive(Debug, Clone)]
pub struct Role {
    /// What it may do.
    pub principal: Principal,
    /// The external id that its trust policy asks for.
    pub external_id: Option<String>,
    /// Web identity tokens that it trusts.
    pub web_identity: Option<String>,
}

#[derive(Debug, Clone)]
struct Token {
    principal: Principal,
    region: &'static str,
    until: SystemTime,
}

impl Ecr {
    /// Adds an access key.
    pub fn add_key(&mut self, id: &str, secret: &str, principal: Principal) {
        let key = Key { secret: secret.to_owned(), session: None, until: None, principal };
        self.keys.insert(id.to_owned(), key);
    }

    /// Adds a role by its principal's ARN.
    pub fn add_role(&mut self, role: Role) {
        self.roles.insert(role.principal.arn.clone(), role);
    }

    /// Issues keys for a session, as an instance or a container is given them: id, secret, session token.
    pub fn issue(
        &mut self,
        principal: Principal,
        at: SystemTime,
        life: Duration,
    ) -> (String, String, String) {
        self.issued += 1;
        let (id, secret, session) = (
            format!("ASIA{:012}", self.issued),
            format!("secret-{}", self.issued),
            format!("session-{}", self.issued),
        );
        let key =
            Key { secret: secret.clone(), session: Some(session.clone()), until: Some(at + life), principal };
        self.keys.insert(id.clone(), key);
        (id, secret, session)
    }

    /// The registry of a region.
    pub fn registry(&mut self, region: &'static str) -> &mut Store {
        self.registries.entry(region).or_default()
    }

    /// Moves the image of a tag into the archive.
    pub fn archive(&mut self, region: &'static str, repository: &str, tag: &str) {
        let digest = self.registry(region).get(repository).unwrap().tags[tag].digest.clone();
        self.archived.insert((repository.to_owned(), digest));
    }

    /// Lets all sessions and tokens expire that were issued until now.
    pub fn expire(&mut self) {
        for key in self.keys.values_mut().filter(|key| key.session.is_some()) {
            key.until = Some(SystemTime::UNIX_EPOCH);
        }
        for token in self.tokens.values_mut() {
            token.until = SystemTime::UNIX_EPOCH;
        }
    }

    /// Who signed the request, or the error code that refuses it.
    fn signer(&self, request: &Received, service: &str, region: &str) -> Result<Principal, &'static str> {
        let signature = Signature::read(request).ok_or("IncompleteSignature")?;
        let unknown = if service == "sts" { "InvalidClientTokenId" } else { "UnrecognizedClientException" };
        let key = self.keys.get(&signature.access_key_id).ok_or(unknown)?;
        if key.session.as_deref() != request.header("x-amz-security-token") {
            return Err(unknown);
        }
        let is_here = (signature.service.as_str(), signature.region.as_str()) == (service, region);
        if !is_here || !signature.is_by(&key.secret, request) {
            return Err(if service == "sts" { "SignatureDoesNotMatch" } else { "InvalidSignatureException" });
        }
        if key.until.is_some_and(|until| until <= request.at) {
            return Err(if service == "sts" { "ExpiredToken" } else { "ExpiredTokenException" });
        }
        Ok(key.principal.clone())
    }

    fn assume(&mut self, operation: &str, region: &Region, request: &Received) -> Answer {
        let form = request.form();
        let field = |name: &str| form.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let known = self.roles.get(field("RoleArn").unwrap_or_default()).cloned();
        let trusted = if operation == ASSUME {
            let caller = match self.signer(request, "sts", region.name) {
                Ok(caller) => caller,
                Err(code) => return sts_error(403, code),
            };
            known.filter(|role| {
                caller.actions.contains("sts:AssumeRole")
                    && role.web_identity.is_none()
                    && role.external_id.as_deref().is_none_or(|id| field("ExternalId") == Some(id))
            })
        } else {
            let token = field("WebIdentityToken");
            if token == Some("expired") {
                return sts_error(400, "ExpiredTokenException");
            }
            known.filter(|role| role.web_identity.is_some() && role.web_identity.as_deref() == token)
        };
        let Some(role) = trusted else { return sts_error(403, "AccessDenied") };
        let (id, secret, session) = self.issue(role.principal.clone(), request.at, SESSION_LIFE);
        let until = (request.at + SESSION_LIFE).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let name = role.principal.arn.rsplit('/').next().unwrap_or_default();
        let body = format!(
            "<{operation}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{operation}Result>\
             <AssumedRoleUser><AssumedRoleId>AROA:{session}</AssumedRoleId>\
             <Arn>arn:{}:sts::{}:assumed-role/{name}/session</Arn></AssumedRoleUser>\
             <Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
             <SessionToken>{session}</SessionToken><Expiration>{}</Expiration></Credentials></{operation}Result>\
             <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{operation}Response>",
            region.partition,
            role.principal.account,
            super::store::rfc3339(until),
        );
        text(200, "text/xml", body)
    }

    fn answer_api(&mut self, operation: &'static str, region: &'static Region, request: &Received) -> Answer {
        let caller = match self.signer(request, "ecr", region.name) {
            Ok(caller) => caller,
            Err(code) => return api_error(400, code),
        };
        if !caller.actions.contains(format!("ecr:{operation}").as_str()) {
            return api_error(400, "AccessDeniedException");
        }
        if operation == GET_AUTHORIZATION_TOKEN {
            self.issued += 1;
            let (password, until) = (format!("password-{}", self.issued), request.at + TOKEN_LIFE);
            let token = STANDARD.encode(format!("AWS:{password}"));
            self.tokens.insert(password, Token { principal: caller, region: region.name, until });
            let until = until.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
            let endpoint = format!("https://{}", region.registry);
            let data = json!({ "authorizationToken": token, "expiresAt": until, "proxyEndpoint": endpoint });
            return answer_json(200, &json!({ "authorizationData": [data] }));
        }
        let asked = request.json();
        if asked["registryId"].as_str().unwrap_or(&caller.account) != region.account
            || caller.account != region.account
        {
            return api_error(400, "AccessDeniedException");
        }
        let store = self.registries.entry(region.name).or_default();
        let name = asked["repositoryName"].as_str().unwrap_or_default();
        let (key, all) = if operation == DESCRIBE_REPOSITORIES {
            let described = store.repositories.iter().map(|(name, repository)| {
                json!({
                    "registryId": region.account, "repositoryName": name, "createdAt": repository.created,
                    "repositoryUri": format!("{}/{name}", region.registry),
                })
            });
            ("repositories", described.collect())
        } else {
            let Some(repository) = store.get(name) else {
                return api_error(400, "RepositoryNotFoundException");
            };
            let status = asked["filter"]["imageStatus"].as_str().unwrap_or("ACTIVE");
            let is_shown = |digest: &Digest| {
                let is_archived = self.archived.contains(&(name.to_owned(), digest.clone()));
                status == "ANY" || status == if is_archived { "ARCHIVED" } else { "ACTIVE" }
            };
            match operation {
                DESCRIBE_IMAGES => ("imageDetails", images(repository, region, name, is_shown)),
                _ => ("imageIds", image_ids(repository, is_shown)),
            }
        };
        page(operation, key, all, &asked)
    }

    /// What the registry says to a request without the right to it.
    fn refuse_at_registry(&self, operation: &str, region: &Region, request: &Received) -> Option<Answer> {
        let realm = format!("Basic realm=\"https://{}/\",service=\"ecr.amazonaws.com\"", region.registry);
        let Some((user, password)) = request.basic() else {
            let answer = text(401, "text/plain; charset=utf-8", "Not Authorized\n");
            return Some(with_header(answer, "www-authenticate", &realm));
        };
        let token = self.tokens.get(&password).filter(|token| user == "AWS" && token.region == region.name);
        let Some(token) = token else {
            return Some(text(400, "text/plain; charset=utf-8", "Your Authorization Token is invalid.\n"));
        };
        if token.until <= request.at {
            let body = "Your authorization token has expired. Reauthenticate and try again.\n";
            return Some(text(403, "text/plain; charset=utf-8", body));
        }
        let action = match operation {
            distribution::PING => return None,
            distribution::CATALOG => "ecr:DescribeRepositories",
            distribution::TAGS => "ecr:ListImages",
            distribution::MANIFEST => "ecr:BatchGetImage",
            _ => "ecr:GetDownloadUrlForLayer",
        };
        let allowed = token.principal.actions.contains(action) && token.principal.account == region.account;
        (!allowed).then(|| distribution::error(403, "DENIED"))
    }

    fn answer_registry(
        &mut self,
        operation: &str,
        region: &'static Region,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        if let Some(refusal) = self.refuse_at_registry(operation, region, request) {
            return Ok(refusal);
        }
        let archived = &self.archived;
        let store = self.registries.entry(region.name).or_default();
        let name = path.get("name").map_or("", String::as_str);
        let names = match operation {
            distribution::CATALOG => Some(("repositories", store.repositories.keys().cloned().collect())),
            distribution::TAGS => match store.get(name) {
                Some(repository) => Some(("tags", repository.tags.keys().cloned().collect())),
                None => return Ok(distribution::error(404, "NAME_UNKNOWN")),
            },
            distribution::MANIFEST => {
                let found = store.manifest(name, &path["reference"]);
                if found.is_some_and(|(digest, _)| archived.contains(&(name.to_owned(), digest.clone()))) {
                    return Ok(distribution::error(404, "MANIFEST_UNKNOWN"));
                }
                None
            }
            _ => None,
        };
        if let Some((key, names)) = names {
            return Ok(listed(key, names, region, request));
        }
        let paging = distribution::Paging::Whole;
        distribution::answer(store, operation, path, request, paging, Some(region.storage))
    }
}

impl Vendor for Ecr {
    fn operations(&self) -> Vec<Operation> {
        table::operations()
    }

    fn answer(
        &mut self,
        operation: &str,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        let at = |r: &&Region| [r.sts, r.api, r.registry, r.storage].contains(&request.host.as_str());
        let region = REGIONS.iter().find(at).unwrap();
        if request.host == region.sts {
            return Ok(self.assume(operation, region, request));
        }
        let of_api = [GET_AUTHORIZATION_TOKEN, DESCRIBE_REPOSITORIES, DESCRIBE_IMAGES, LIST_IMAGES];
        if let Some(operation) = of_api.into_iter().find(|known| *known == operation) {
            return Ok(self.answer_api(operation, region, request));
        }
        if operation == distribution::STORAGE {
            let store = self.registries.entry(region.name).or_default();
            return distribution::answer(store, operation, path, request, distribution::Paging::Whole, None);
        }
        self.answer_registry(operation, region, path, request)
    }

    fn rate_limited(&self, request: &Received) -> Answer {
        if REGIONS.iter().any(|region| region.sts == request.host) {
            return with_header(sts_error(400, "Throttling"), "x-amz-retry-after", "1000");
        }
        if REGIONS.iter().any(|region| region.registry == request.host) {
            return with_header(distribution::error(429, "TOOMANYREQUESTS"), "retry-after", "1");
        }
        with_header(api_error(400, "ThrottlingException"), "x-amz-retry-after", "1000")
    }

    fn refusal(&self, violation: &Violation) -> Answer {
        api_error(violation.status, "InvalidParameterException")
    }
}

/// One entry a digest, in the order of digests: not that of tags.
fn images(
    repository: &Repository,
    region: &Region,
    name: &str,
    is_shown: impl Fn(&Digest) -> bool,
) -> Vec<Value> {
    let tagged = repository.tags_by_digest().into_iter().filter(|(digest, _)| is_shown(digest));
    tagged
        .map(|(digest, tags)| {
            let manifest = &repository.manifests[digest];
            json!({
                "registryId": region.account, "repositoryName": name, "imageDigest": digest.to_string(),
                "imageTags": tags, "imagePushedAt": manifest.pushed, "imageSizeInBytes": manifest.size,
                "imageManifestMediaType": manifest.media_type, "imageStatus": "ACTIVE",
            })
        })
        .collect()
}

/// One entry a tag.
fn image_ids(repository: &Repository, is_shown: impl Fn(&Digest) -> bool) -> Vec<Value> {
    let tags = repository.tags.iter().filter(|(_, tag)| is_shown(&tag.digest));
    tags.map(|(name, tag)| json!({ "imageTag": name, "imageDigest": tag.digest.to_string() })).collect()
}

fn page(operation: &str, key: &str, all: Vec<Value>, asked: &Value) -> Answer {
    let size = usize::try_from(asked["maxResults"].as_u64().unwrap_or(100)).unwrap();
    let start = match asked["nextToken"].as_str() {
        None => 0,
        Some(token) => {
            let text = STANDARD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let place = text.as_deref().and_then(|text| text.strip_prefix(operation)?.parse().ok());
            let Some(place) = place else { return api_error(400, "InvalidParameterException") };
            place
        }
    };
    let next = start + size;
    let token = (next < all.len()).then(|| STANDARD.encode(format!("{operation}{next}")));
    let shown: Vec<Value> = all.into_iter().skip(start).take(size).collect();
    answer_json(200, &json!({ key: shown, "nextToken": token }))
}

/// A listing of `/v2/`: its link is absolute, its `last` a token, its type plain text (`docker_registry2#34`).
fn listed(key: &str, all: Vec<String>, region: &Region, request: &Received) -> Answer {
    let size = request.number("n").unwrap_or(100);
    if size > 1000 {
        return distribution::error(405, "UNSUPPORTED");
    }
    let decoded = request.query("last").and_then(|last| STANDARD.decode(last).ok());
    let start = decoded.and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok()).unwrap_or(0_usize);
    let next = start + size;
    let link = (next < all.len()).then(|| {
        let last: String =
            url::form_urlencoded::byte_serialize(STANDARD.encode(next.to_string()).as_bytes()).collect();
        format!("<https://{}{}?last={last}&n={size}>; rel=\"next\"", region.registry, request.path)
    });
    let shown: Vec<String> = all.into_iter().skip(start).take(size).collect();
    let answer = text(200, "text/plain; charset=utf-8", json!({ key: shown }).to_string());
    link.map_or(answer.clone(), |link| with_header(answer, "link", &link))
}

/// Query protocol: XML.
fn sts_error(status: u16, code: &str) -> Answer {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>a message</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    );
    text(status, "text/xml", body)
}

/// JSON 1.1.
fn api_error(status: u16, code: &str) -> Answer {
    let body = json!({ "__type": code, "message": "a message" });
    text(status, "application/x-amz-json-1.1", body.to_string())
}
