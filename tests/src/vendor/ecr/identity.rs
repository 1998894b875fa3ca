//! What gives a machine its credentials: the container's service of ECS and EKS, the instance's metadata of EC2.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{Ecr, Principal};
use crate::vendor::emulator::{Emulator, Vendor};
use crate::vendor::message::{Answer, Received, json as answer_json, text, with_header};
use crate::vendor::operation::{Kind, Operation, Parameter, PathValues, Payload, Violation};
use crate::vendor::store::rfc3339;

/// Credentials are given for so long.
const LIFE: Duration = Duration::from_hours(6);
/// The token of a session with the instance's metadata.
const SESSION: &str = "metadata-session";
/// The profile of the instance.
const PROFILE: &str = "agent-profile";
/// What a pod shows for its credentials.
pub const POD_TOKEN: &str = "the-pods-token";

const fn get(
    id: &'static str,
    source: &'static str,
    host: &'static str,
    path: &'static str,
    headers: &'static [Parameter],
) -> Operation {
    let (methods, path) = (&["GET"] as &[_], Cow::Borrowed(path));
    Operation { id, source, host, methods, path, query: &[], headers, body: Payload::Nothing }
}

const METADATA_TOKEN: &[Parameter] = &[Parameter::required("x-aws-ec2-metadata-token", Kind::TEXT)];
const POD: &[Parameter] = &[Parameter::required("authorization", Kind::OneOf(&[POD_TOKEN]))];
const TOKEN_LIFE: &[Parameter] =
    &[Parameter::required("x-aws-ec2-metadata-token-ttl-seconds", Kind::Integer { min: 1, max: 21_600 })];

fn table() -> Vec<Operation> {
    vec![
        get("task", "Amazon ECS, task IAM role", "169.254.170.2", "/v2/credentials/{id}", &[]),
        get("pod", "Amazon EKS, pod identity agent", "169.254.170.23", "/v1/credentials", POD),
        get(
            "local",
            "AWS SDKs reference guide, container credential provider: a full URI with a loopback address",
            "127.0.0.1:9911",
            "/credentials",
            POD,
        ),
        Operation {
            methods: &["PUT"],
            ..get(
                "session",
                "Amazon EC2, instance metadata service version 2",
                "169.254.169.254",
                "/latest/api/token",
                TOKEN_LIFE,
            )
        },
        get(
            "profiles",
            "Amazon EC2, instance metadata service version 2",
            "169.254.169.254",
            "/latest/meta-data/iam/security-credentials/",
            METADATA_TOKEN,
        ),
        get(
            "profile",
            "Amazon EC2, instance metadata service version 2",
            "169.254.169.254",
            "/latest/meta-data/iam/security-credentials/{profile}",
            METADATA_TOKEN,
        ),
    ]
}

/// Credentials of one principal, from all three.
#[derive(Debug)]
pub struct Identity {
    /// Who takes them.
    pub aws: Emulator<Ecr>,
    /// Whose they are.
    pub principal: Principal,
}

impl Vendor for Identity {
    fn operations(&self) -> Vec<Operation> {
        table()
    }

    fn answer(
        &mut self,
        operation: &str,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        if request.host == "169.254.169.254" && operation != "session" {
            if request.header("x-aws-ec2-metadata-token") != Some(SESSION) {
                return Ok(text(401, "text/plain", ""));
            }
            if operation == "profiles" {
                return Ok(text(200, "text/plain", PROFILE));
            }
            if path["profile"] != PROFILE {
                return Ok(text(404, "text/plain", ""));
            }
        }
        if operation == "session" {
            let life = request.header("x-aws-ec2-metadata-token-ttl-seconds").unwrap();
            let answer = text(200, "text/plain", SESSION);
            return Ok(with_header(answer, "x-aws-ec2-metadata-token-ttl-seconds", life));
        }
        let (id, secret, session) = self.aws.with(|aws| aws.issue(self.principal.clone(), request.at, LIFE));
        let seconds = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        Ok(answer_json(
            200,
            &json!({
                "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": rfc3339(seconds(request.at)),
                "RoleArn": self.principal.arn, "AccessKeyId": id, "SecretAccessKey": secret, "Token": session,
                "Expiration": rfc3339(seconds(request.at + LIFE)),
            }),
        ))
    }

    fn rate_limited(&self, _: &Received) -> Answer {
        text(429, "text/plain", "")
    }
}
