//! Which registry a connection means, and how it gets there: region, account, role, and the address where one is given.

use regent_distribution::{Endpoint, PathMeaning};
use regent_plugin_api::oci::RepositoryName;
use regent_plugin_api::{Error, Host, Result, Settings};

/// Domains below which AWS has its registries, by partition: of the usual names and of the dual-stack ones.
const DOMAINS: [&str; 6] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "on.aws",
    "on.amazonwebservices.com.cn",
    "on.amazonwebservices.eu",
];

/// The registry of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) region: String,
    /// Twelve digits; `None` for the account of the agent's own identity.
    pub(crate) account: Option<String>,
    pub(crate) role: Option<Role>,
    /// Where `/v2/` is, if the connection says so; else AWS does.
    pub(crate) endpoint: Option<Endpoint>,
    /// Whether AWS itself is meant, and not what the operator has put in its place.
    pub(crate) is_aws: bool,
    /// The beginning of a repository's name, that listings keep to.
    pub(crate) prefix: Option<RepositoryName>,
}

/// The role to assume.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    pub(crate) arn: String,
    pub(crate) external_id: Option<String>,
}

impl Place {
    pub(crate) fn of(settings: &Settings, host: &Host) -> Result<Self> {
        let variable = |name: &str| host.env(name).filter(|v| !v.trim().is_empty());
        let is_aws = !settings.plain_http()
            && variable("AWS_ENDPOINT_URL").or_else(|| variable("AWS_ENDPOINT_URL_ECR")).is_none();
        let base = settings.base().map(|base| Base::parse(base, settings.plain_http())).transpose()?;
        let named = base.as_ref().and_then(|base| RegistryHost::parse(&base.endpoint.host()));
        if let (Some(base), None, true) = (&base, &named, is_aws) {
            return Err(Error::invalid_setting("registryBase", foreign(&base.endpoint.host())));
        }
        let region = match (settings.text("extra.region"), &named) {
            (Some(region), Some(named)) if named.region != region => {
                let why = format!("is in region {}, while the connection's region is {region}", named.region);
                return Err(Error::invalid_setting("registryBase", why));
            }
            (Some(region), _) => region.to_owned(),
            (None, Some(named)) => named.region.clone(),
            (None, None) => variable("AWS_REGION")
                .or_else(|| variable("AWS_DEFAULT_REGION"))
                .ok_or_else(|| Error::invalid_setting("extra.region", "is missing"))?,
        };
        if !is_region(&region) {
            return Err(Error::invalid_setting("extra.region", "is no region: one looks like eu-west-1"));
        }
        let (role, account) = match settings.text("roleArn") {
            None => (None, named.map(|named| named.account)),
            Some(arn) => {
                let account = account_of(arn, &region)?;
                if let Some(named) = named.filter(|named| named.account != account) {
                    let why =
                        format!("is of account {}, while the role is of account {account}", named.account);
                    return Err(Error::invalid_setting("registryBase", why));
                }
                let external_id = settings.text("extra.externalId").map(external_id).transpose()?;
                (Some(Role { arn: arn.to_owned(), external_id }), Some(account))
            }
        };
        let (endpoint, prefix) = base.map(|base| (base.endpoint, base.prefix)).unzip();
        Ok(Self { region, account, role, endpoint, is_aws, prefix: prefix.flatten() })
    }

    /// The registry in words.
    pub(crate) fn name(&self) -> String {
        match &self.account {
            Some(account) => format!("account {account} in {}", self.region),
            None => format!("the agent's own account in {}", self.region),
        }
    }

    /// Who asks, in words.
    pub(crate) fn caller(&self) -> String {
        match &self.role {
            Some(role) => format!("the role {}", role.arn),
            None => "the agent's AWS identity".to_owned(),
        }
    }

    /// The endpoint that AWS names for a token.
    pub(crate) fn endpoint_by(&self, proxy_endpoint: Option<&str>) -> Result<Endpoint> {
        if let Some(endpoint) = &self.endpoint {
            return Ok(endpoint.clone());
        }
        let invalid = || Error::bad_answer("ecr names no address of the registry for its token");
        let named = proxy_endpoint.ok_or_else(invalid)?;
        let base = Base::parse(named, !self.is_aws).map_err(|_| invalid())?;
        // The token goes there: to a registry of AWS, or to what the operator has put in its place.
        let is_known = !self.is_aws || RegistryHost::parse(&base.endpoint.host()).is_some();
        is_known.then_some(base.endpoint).ok_or_else(invalid)
    }
}

struct Base {
    endpoint: Endpoint,
    prefix: Option<RepositoryName>,
}

impl Base {
    fn parse(text: &str, plain_http: bool) -> Result<Self> {
        let (endpoint, prefix) = Endpoint::from_base(text, plain_http, PathMeaning::RepositoryPrefix)
            .map_err(|e| Error::invalid_setting("registryBase", e))?;
        Ok(Self { endpoint, prefix })
    }
}

fn foreign(host: &str) -> String {
    if host == "public.ecr.aws" {
        return "is the public gallery, which is a connection of type oci-cr".to_owned();
    }
    format!(
        "{host} is no private registry of ECR (<account>.dkr.ecr.<region>.amazonaws.com); leave it out, since role and \
         region say which registry is meant"
    )
}

/// The host of a private registry: `<account>.dkr.ecr.<region>.<domain>`, with `ecr-fips` for `ecr`, or the dual-stack
/// `<account>.dkr-ecr.<region>.on.aws`.
#[derive(Debug, PartialEq, Eq)]
struct RegistryHost {
    account: String,
    region: String,
}

impl RegistryHost {
    fn parse(host: &str) -> Option<Self> {
        let (account, rest) = host.split_once('.')?;
        let kinds = ["dkr.ecr.", "dkr.ecr-fips.", "dkr-ecr.", "dkr-ecr-fips."];
        let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
        let (region, domain) = rest.split_once('.')?;
        let is_one = is_account(account) && is_region(region) && DOMAINS.contains(&domain);
        is_one.then(|| Self { account: account.to_owned(), region: region.to_owned() })
    }
}

/// The account in a role's ARN: `arn:<partition>:iam::<account>:role/<path and name>`.
fn account_of(arn: &str, region: &str) -> Result<String> {
    let invalid = |why: String| Error::invalid_setting("roleArn", why);
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let &["arn", partition, "iam", "", account, resource] = parts.as_slice() else {
        return Err(invalid("is no role: one looks like arn:aws:iam::123456789012:role/name".to_owned()));
    };
    let is_role = resource
        .strip_prefix("role/")
        .is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()));
    if !is_role || !is_account(account) || arn.len() > 2048 {
        return Err(invalid("is no role: one looks like arn:aws:iam::123456789012:role/name".to_owned()));
    }
    let expected = partition_of(region);
    if partition != expected {
        return Err(invalid(format!(
            "is of partition {partition}, while region {region} is of partition {expected}"
        )));
    }
    Ok(account.to_owned())
}

/// STS: 2 to 1224 characters of `[\w+=,.@:/-]`.
fn external_id(text: &str) -> Result<String> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b);
    if !(2..=1224).contains(&text.len()) || !text.bytes().all(is_allowed) {
        let why = "is no external id: STS takes 2 to 1224 letters, digits and characters of _+=,.@:/-";
        return Err(Error::invalid_setting("extra.externalId", why));
    }
    Ok(text.to_owned())
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// It becomes a label of host names, so no more than that is looked at: new regions come.
fn is_region(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= 63
        && text.contains('-')
        && !text.starts_with('-')
        && text.ends_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(inside)
}

fn partition_of(region: &str) -> &'static str {
    let partitions = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-isof-", "aws-iso-f"),
        ("eusc-", "aws-eusc"),
    ];
    partitions.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use regent_plugin_api::secrecy::SecretString;
    use regent_plugin_api::transport::{BoxFuture, Request, Response, Transport, TransportError};
    use regent_plugin_api::{HostServices, LogLevel};

    use super::*;

    struct Variables(BTreeMap<&'static str, &'static str>);

    impl Transport for Variables {
        fn send(&self, _: Request) -> BoxFuture<'_, std::result::Result<Response, TransportError>> {
            Box::pin(std::future::pending())
        }
        fn sleep(&self, _: Duration) -> BoxFuture<'_, ()> {
            Box::pin(std::future::pending())
        }
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }
        fn jitter(&self) -> f64 {
            0.0
        }
    }

    impl HostServices for Variables {
        fn log(&self, _: LogLevel, _: &str) {}
        fn env(&self, name: &str) -> Option<String> {
            self.0.get(name).map(|&v| v.to_owned())
        }
    }

    const ROLE: &str = "arn:aws:iam::123456789012:role/path/scan";
    const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

    /// Settings by the initial of their name, variables by their whole name, as `name=value` separated by blanks.
    fn place(text: &str, plain_http: bool) -> Result<Place> {
        let (mut values, mut variables) = (Vec::new(), BTreeMap::new());
        for (name, value) in text.split_whitespace().filter_map(|word| word.split_once('=')) {
            let field = match name {
                "role" => "roleArn",
                "region" => "extra.region",
                "id" => "extra.externalId",
                "base" => "registryBase",
                variable => {
                    variables.insert(&*variable.to_owned().leak(), &*value.to_owned().leak());
                    continue;
                }
            };
            values.push((field.to_owned(), SecretString::from(value)));
        }
        Place::of(&Settings::new("ecr", values, plain_http), &Host::new(Arc::new(Variables(variables))))
    }

    #[test]
    fn account_and_region_are_taken_from_what_is_there() {
        let rows = [
            (format!("role={ROLE} region=eu-west-1"), "account 123456789012 in eu-west-1"),
            (
                format!("role={ROLE} region=eu-west-1 id= base=https://{HOST}/"),
                "account 123456789012 in eu-west-1",
            ),
            (format!("base={HOST}"), "account 123456789012 in eu-west-1"),
            (format!("role={ROLE} AWS_REGION=us-east-1"), "account 123456789012 in us-east-1"),
            ("AWS_DEFAULT_REGION=us-east-1".to_owned(), "the agent's own account in us-east-1"),
            (
                "region=ap-southeast-7 AWS_REGION=us-east-1".to_owned(),
                "the agent's own account in ap-southeast-7",
            ),
            (
                "role=arn:aws-cn:iam::123456789012:role/x region=cn-north-1".to_owned(),
                "account 123456789012 in cn-north-1",
            ),
            (
                "base=123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn".to_owned(),
                "account 123456789012 in cn-north-1",
            ),
            ("base=123456789012.dkr-ecr.eu-west-1.on.aws".to_owned(), "account 123456789012 in eu-west-1"),
            (
                "base=123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com".to_owned(),
                "account 123456789012 in us-gov-west-1",
            ),
            (
                "base=registry.lan region=eu-west-1 AWS_ENDPOINT_URL_ECR=https://ecr.lan".to_owned(),
                "the agent's own account in eu-west-1",
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(place(&text, false).unwrap().name(), expected, "{text}");
        }
        let team = place(&format!("base={HOST}/team"), false).unwrap();
        assert_eq!(team.prefix.unwrap().as_str(), "team");
        assert!(!place("base=127.0.0.1:5000 region=eu-west-1", true).unwrap().is_aws);
    }

    #[test]
    fn what_contradicts_itself_or_is_malformed_names_the_setting() {
        let rows = [
            (String::new(), "extra.region is missing"),
            (format!("role={ROLE}"), "extra.region is missing"),
            ("region=Ireland".to_owned(), "extra.region is no region"),
            ("region=eu-west-1a".to_owned(), "extra.region is no region"),
            ("region=evil.example/eu-1".to_owned(), "extra.region is no region"),
            ("role=arn:aws:iam::12345:role/x region=eu-west-1".to_owned(), "roleArn is no role"),
            ("role=arn:aws:iam::123456789012:user/x region=eu-west-1".to_owned(), "roleArn is no role"),
            ("role=scan region=eu-west-1".to_owned(), "roleArn is no role"),
            (format!("role={ROLE} region=cn-north-1"), "partition aws-cn"),
            (format!("role={ROLE} region=eu-west-1 id=x"), "extra.externalId is no external id"),
            (format!("role={ROLE} region=eu-west-1 id=a;b"), "extra.externalId is no external id"),
            (format!("role={ROLE} region=us-east-1 base={HOST}"), "registryBase is in region eu-west-1"),
            (
                format!("role={ROLE} region=eu-west-1 base=999999999999.dkr.ecr.eu-west-1.amazonaws.com"),
                "registryBase is of account 999999999999",
            ),
            (
                format!("role={ROLE} region=eu-west-1 base=registry.example.com"),
                "registryBase registry.example.com is no",
            ),
            (
                "region=eu-west-1 base=123456789012.dkr.ecr.eu-west-1.evil.com".to_owned(),
                "is no private registry",
            ),
            ("base=public.ecr.aws/team".to_owned(), "public gallery"),
            (format!("base=http://{HOST}"), "plain http"),
        ];
        for (text, expected) in rows {
            let error = place(&text, false).unwrap_err();
            assert!(error.message().contains(expected), "{text}: {error}");
            assert_eq!(error.code(), "setting_invalid");
        }
    }

    #[test]
    fn the_token_goes_to_a_registry_of_aws_only() {
        let place = place("region=eu-west-1", false).unwrap();
        assert_eq!(place.endpoint_by(Some(&format!("https://{HOST}"))).unwrap().host(), HOST);
        for named in [
            None,
            Some("https://evil.example.com"),
            Some("http://123456789012.dkr.ecr.eu-west-1.amazonaws.com"),
        ] {
            assert_eq!(place.endpoint_by(named).unwrap_err().code(), "registry_answer_invalid");
        }
    }
}
