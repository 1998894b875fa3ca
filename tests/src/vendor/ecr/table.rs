//! What STS and ECR take (AWS API models `sts/2011-06-15`, `ecr/2015-09-21`).

use std::borrow::Cow;

use super::signature::Signature;
use crate::vendor::distribution;
use crate::vendor::operation::{Kind, Operation, Parameter, Payload};

const STS: &str = "AWS API model sts/2011-06-15";
const ECR: &str = "AWS API model ecr/2015-09-21";

/// A region with its hosts, and the account that has its registry there.
#[derive(Debug, Clone, Copy)]
pub struct Region {
    /// Its name.
    pub name: &'static str,
    /// The account.
    pub account: &'static str,
    /// The partition, as ARNs have it.
    pub partition: &'static str,
    /// Where STS is.
    pub sts: &'static str,
    /// Where the API is.
    pub api: &'static str,
    /// Where `/v2/` is.
    pub registry: &'static str,
    /// Where blobs are.
    pub storage: &'static str,
}

/// The regions that are open.
pub const REGIONS: [Region; 3] = [
    Region {
        name: "eu-west-1",
        account: "123456789012",
        partition: "aws",
        sts: "sts.eu-west-1.amazonaws.com",
        api: "api.ecr.eu-west-1.amazonaws.com",
        registry: "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        storage: "prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com",
    },
    Region {
        name: "us-east-1",
        account: "210987654321",
        partition: "aws",
        sts: "sts.us-east-1.amazonaws.com",
        api: "api.ecr.us-east-1.amazonaws.com",
        registry: "210987654321.dkr.ecr.us-east-1.amazonaws.com",
        storage: "prod-us-east-1-starport-layer-bucket.s3.us-east-1.amazonaws.com",
    },
    Region {
        name: "cn-north-1",
        account: "345678901234",
        partition: "aws-cn",
        sts: "sts.cn-north-1.amazonaws.com.cn",
        api: "api.ecr.cn-north-1.amazonaws.com.cn",
        registry: "345678901234.dkr.ecr.cn-north-1.amazonaws.com.cn",
        storage: "prod-cn-north-1-starport-layer-bucket.s3.cn-north-1.amazonaws.com.cn",
    },
];

const AUTHORIZATION: Parameter = Parameter::required(
    "authorization",
    Kind::Like {
        example: "AWS4-HMAC-SHA256 Credential=x/20260101/x/x/aws4_request, SignedHeaders=host, Signature=x",
        counterexample: "Basic x",
        fits: Signature::is_one,
    },
);
const DATE: Parameter = Parameter::required(
    "x-amz-date",
    Kind::Like {
        example: "20260101T000000Z",
        counterexample: "yesterday",
        fits: |v| v.len() == 16 && v.ends_with('Z'),
    },
);
const VERSION: Parameter = Parameter::required("Version", Kind::OneOf(&["2011-06-15"]));
const ROLE_ARN: Parameter = Parameter::required("RoleArn", Kind::Text { min: 20, max: 2048 });
/// `[\w+=,.@-]*`
const SESSION_NAME: Parameter = Parameter::required(
    "RoleSessionName",
    Kind::Like {
        example: "session",
        counterexample: "a session",
        fits: |v| {
            let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
            (2..=64).contains(&v.len()) && v.bytes().all(is_allowed)
        },
    },
);
const DURATION: Parameter = Parameter::optional("DurationSeconds", Kind::Integer { min: 900, max: 43_200 });
const ASSUME_ROLE: &[Parameter] = &[
    Parameter::required("Action", Kind::OneOf(&["AssumeRole"])),
    VERSION,
    ROLE_ARN,
    SESSION_NAME,
    // `[\w+=,.@:\/-]*`, "minimum length of 2": an empty one is refused as well.
    Parameter::optional(
        "ExternalId",
        Kind::Like {
            example: "id",
            counterexample: "",
            fits: |v| {
                let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b);
                (2..=1224).contains(&v.len()) && v.bytes().all(is_allowed)
            },
        },
    ),
    DURATION,
];
const ASSUME_ROLE_WITH_WEB_IDENTITY: &[Parameter] = &[
    Parameter::required("Action", Kind::OneOf(&["AssumeRoleWithWebIdentity"])),
    VERSION,
    ROLE_ARN,
    SESSION_NAME,
    Parameter::required("WebIdentityToken", Kind::Text { min: 4, max: 20_000 }),
    DURATION,
];

const REGISTRY_ID: Parameter = Parameter::optional(
    "registryId",
    Kind::Like {
        example: "123456789012",
        counterexample: "12345",
        fits: |v| v.len() == 12 && v.bytes().all(|b| b.is_ascii_digit()),
    },
);
const MAX_RESULTS: Parameter = Parameter::optional("maxResults", Kind::Integer { min: 1, max: 1000 });
const NEXT_TOKEN: Parameter = Parameter::optional("nextToken", Kind::TEXT);
const REPOSITORY: Parameter = Parameter::required(
    "repositoryName",
    Kind::Like {
        example: "team/app",
        counterexample: "Team/App",
        fits: |v| (2..=256).contains(&v.len()) && v.parse::<regent_oci::RepositoryName>().is_ok(),
    },
);
const FILTER: Parameter = Parameter::optional(
    "filter",
    Kind::Like {
        example: r#"{"tagStatus":"TAGGED"}"#,
        counterexample: r#"{"tagStatus":"SOME"}"#,
        fits: |v| {
            let Ok(serde_json::Value::Object(filter)) = serde_json::from_str(v) else { return false };
            filter.iter().all(|(name, value)| match name.as_str() {
                "tagStatus" => ["TAGGED", "UNTAGGED", "ANY"].iter().any(|word| value == word),
                "imageStatus" => ["ACTIVE", "ARCHIVED", "ACTIVATING", "ANY"].iter().any(|word| value == word),
                _ => false,
            })
        },
    },
);

/// Operation of ECR: a token for `/v2/`.
pub const GET_AUTHORIZATION_TOKEN: &str = "GetAuthorizationToken";
/// Operation of ECR: repositories.
pub const DESCRIBE_REPOSITORIES: &str = "DescribeRepositories";
/// Operation of ECR: images.
pub const DESCRIBE_IMAGES: &str = "DescribeImages";
/// Operation of ECR: digests and tags.
pub const LIST_IMAGES: &str = "ListImages";
/// Operation of STS.
pub const ASSUME: &str = "AssumeRole";
/// Operation of STS.
pub const ASSUME_WITH_WEB_IDENTITY: &str = "AssumeRoleWithWebIdentity";

/// The headers of an operation of ECR: JSON 1.1.
macro_rules! target {
    ($operation:literal) => {{
        const TARGET: &str = concat!("AmazonEC2ContainerRegistry_V20150921.", $operation);
        const HEADERS: &[Parameter] = &[
            AUTHORIZATION,
            DATE,
            Parameter::required("content-type", Kind::OneOf(&["application/x-amz-json-1.1"])),
            Parameter::required("x-amz-target", Kind::OneOf(&[TARGET])),
        ];
        HEADERS
    }};
}

/// All operations, in all regions.
pub fn operations() -> Vec<Operation> {
    REGIONS.iter().flat_map(of_region).collect()
}

fn of_region(region: &Region) -> Vec<Operation> {
    let post = |id, source, host, headers, body| Operation {
        id,
        source,
        host,
        methods: &["POST"],
        path: Cow::Borrowed("/"),
        query: &[],
        headers,
        body,
    };
    let api = |id, headers, keys| post(id, ECR, region.api, headers, Payload::Json(keys));
    let mut all = vec![
        post(ASSUME, STS, region.sts, &[AUTHORIZATION, DATE], Payload::Form(ASSUME_ROLE)),
        // "Does not require the use of AWS security credentials."
        post(ASSUME_WITH_WEB_IDENTITY, STS, region.sts, &[], Payload::Form(ASSUME_ROLE_WITH_WEB_IDENTITY)),
        // `registryIds` is deprecated.
        api(GET_AUTHORIZATION_TOKEN, target!("GetAuthorizationToken"), &[]),
        api(DESCRIBE_REPOSITORIES, target!("DescribeRepositories"), &[REGISTRY_ID, MAX_RESULTS, NEXT_TOKEN]),
        api(
            DESCRIBE_IMAGES,
            target!("DescribeImages"),
            &[REGISTRY_ID, REPOSITORY, MAX_RESULTS, NEXT_TOKEN, FILTER],
        ),
        api(LIST_IMAGES, target!("ListImages"), &[REGISTRY_ID, REPOSITORY, MAX_RESULTS, NEXT_TOKEN, FILTER]),
    ];
    all.extend(distribution::operations(region.registry, ""));
    all.push(distribution::storage(region.storage));
    all
}
