//! Amazon ECR: private registries of many accounts and regions, each reached through a role or the agent's own identity.
//!
//! All that AWS signs goes through its own SDK, which runs over the driver's host (`sdk`); what it gives is kept in
//! `session`. Repositories and images are listed by ECR's API, and only where that is refused by `/v2/`. Tokens for
//! `/v2/` are `Basic`, and a refusal with 403 "expired" is how the registry says that one has run out.
//!
//! It is longer than other drivers: what they leave to a user name is here a chain of identities, a role and its session, each
//! with errors that an operator can mend only if they are told apart (`fault`), and an ARN, a region, an account and a base
//! that have to agree (`place`).

#![forbid(unsafe_code)]

mod fault;
mod image;
mod place;
mod sdk;
mod session;

use std::sync::Arc;

use aws_sdk_ecr::types::{DescribeImagesFilter, ListImagesFilter, TagStatus};
use regent_distribution::{
    Endpoint, Error as ProtocolError, FixedHeaders, PageQuery, Scope, Session, is_within,
};
use regent_plugin_api::http::header::AUTHORIZATION;
use regent_plugin_api::oci::{Reference, RepositoryName, Tag};
use regent_plugin_api::transport::{Class, Fault as _};
use regent_plugin_api::{
    Access, Authorization, Check, Cursor, Driver, Error, Host, Page, PageRequest, Result, Settings,
    TagDetail, Validation, first_repository,
};

use crate::place::Place;
use crate::session::{Aws, Token};

/// "A value between 1 and 1000", says the API of `maxResults`.
const MAX_PAGE: u32 = 1000;

struct Ecr {
    host: Host,
    aws: Aws,
}

regent_plugin_api::export_driver! {
    Ecr,
    name: "ecr",
    summary: "Amazon ECR, private registries",
    types: ["ecr", "ElasticCR"],
    settings: [
        { name: "roleArn", required: false, secret: false, help: "role to assume; without it the agent's own AWS identity" },
        { name: "extra.region", required: false, secret: false, help: "region of the registry; needed unless registryBase or AWS_REGION names it" },
        { name: "extra.externalId", required: false, secret: false, help: "external id that the role's trust policy asks for" },
        { name: "registryBase", required: false, secret: false, help: "<account>.dkr.ecr.<region>.amazonaws.com[/prefix], as a check, or to keep to a prefix" },
    ],
    egress: [
        "sts.*.amazonaws.com", "sts-fips.*.amazonaws.com", "sts.*.api.aws", "sts-fips.*.api.aws",
        "api.ecr.*.amazonaws.com", "api.ecr-fips.*.amazonaws.com", "ecr.*.api.aws", "ecr-fips.*.api.aws",
        "*.dkr.ecr.*.amazonaws.com", "*.dkr.ecr-fips.*.amazonaws.com", "*.dkr-ecr.*.on.aws", "*.dkr-ecr-fips.*.on.aws",
        "sts.*.amazonaws.com.cn", "api.ecr.*.amazonaws.com.cn", "*.dkr.ecr.*.amazonaws.com.cn",
        "sts.*.api.amazonwebservices.com.cn", "ecr.*.api.amazonwebservices.com.cn", "*.dkr-ecr.*.on.amazonwebservices.com.cn",
        "sts.*.amazonaws.eu", "api.ecr.*.amazonaws.eu", "*.dkr.ecr.*.amazonaws.eu",
        "sts.*.api.amazonwebservices.eu", "ecr.*.api.amazonwebservices.eu", "*.dkr-ecr.*.on.amazonwebservices.eu",
        "{env:AWS_ENDPOINT_URL}", "{env:AWS_ENDPOINT_URL_STS}", "{env:AWS_ENDPOINT_URL_ECR}",
        "metadata:169.254.169.254", "metadata:[fd00:ec2::254]",
        "metadata:169.254.170.2", "metadata:169.254.170.23", "metadata:[fd00:ec2::23]",
        "metadata:{env:AWS_CONTAINER_CREDENTIALS_FULL_URI}", "metadata:{env:AWS_EC2_METADATA_SERVICE_ENDPOINT}",
    ],
    env: [
        "HOME", "AWS_REGION", "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCOUNT_ID",
        "AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
        "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_ECR",
        "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
    ],
    capabilities: ["files"],
}

impl Driver for Ecr {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let place = Place::of(&settings, &host)?;
        Ok(Self { aws: Aws::new(host.clone(), place, DRIVER.description().env), host })
    }

    async fn validate(&self) -> Result<Validation> {
        let place = &self.aws.place;
        let registry = place.name();
        let mut checks = Vec::new();
        let signer = match (self.aws.signer(None).await, &place.role) {
            (Ok(signer), _) => signer,
            // The identity is good, and the role does not take it.
            (Err(error), Some(_)) if error.class() == Class::Denied => {
                let why = "the role could not be assumed";
                checks.push(Check::passed(Check::REACHED, format!("sts answers in {}", place.region)));
                checks.push(Check::denied("assume-role", error.message()));
                checks.extend(
                    [Check::AUTHENTICATED, Check::LIST, Check::PULL].map(|name| Check::skipped(name, why)),
                );
                return Ok(Validation { registry, checks });
            }
            (Err(error), _) => return Err(error),
        };
        let identity = format!("the agent's AWS identity comes from {}", signer.source);
        let role = place.role.as_ref().map(|role| {
            Check::passed("assume-role", format!("the identity may assume the role {}", role.arn))
        });
        let token = match self.aws.token(false).await {
            Ok(token) => token,
            Err(error) if error.class() == Class::Denied => {
                checks.push(Check::passed(Check::REACHED, format!("ecr answers in {}", place.region)));
                checks.push(Check::passed("identity", identity));
                checks.extend(role);
                checks.push(Check::denied(Check::AUTHENTICATED, error.message()));
                let why = "without a token the registry itself can't be asked";
                checks.push(self.may_list().await?.0);
                checks.push(Check::skipped(Check::PULL, why));
                return Ok(Validation { registry, checks });
            }
            Err(error) => return Err(error),
        };
        checks.push(Check::passed(Check::REACHED, format!("ecr answers in {}", place.region)));
        checks.push(Check::passed("identity", identity));
        checks.extend(role);
        let detail = format!("ecr gives a token for {}", token.endpoint.host());
        checks.push(Check::passed(Check::AUTHENTICATED, detail));
        let (list, first) = self.may_list().await?;
        checks.push(list);
        checks.push(self.may_pull(first, &token).await);
        Ok(Validation { registry: token.endpoint.host(), checks })
    }

    async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
        let size = page.size_up_to(MAX_PAGE);
        let (way, place) = way(&page)?;
        let listed = match way {
            Way::Native => match self.described_repositories(size, place.clone()).await {
                Err(error) if error.class() == Class::Denied && place.is_none() => {
                    self.catalog(size, None).await.map_err(|_| error)?
                }
                other => other?,
            },
            Way::Other => self.catalog(size, place).await?,
        };
        let prefix = self.aws.place.prefix.as_ref();
        let items = listed.items.into_iter().filter(|name| is_within(name, prefix)).collect();
        Ok(Page { items, next: listed.next })
    }

    async fn tags(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
        let size = page.size_up_to(MAX_PAGE);
        let (way, place) = way(&page)?;
        match way {
            // At least one tag an image, so never more requests than a list of tags takes.
            Way::Native => match self.described_images(repository, size, place.clone()).await {
                Err(error) if error.class() == Class::Denied && place.is_none() => {
                    self.listed_images(repository, size, None).await.map_err(|_| error)
                }
                Ok(listed) => {
                    let items = listed.items.into_iter().map(|detail| detail.tag).collect();
                    Ok(Page { items, next: listed.next })
                }
                Err(error) => Err(error),
            },
            Way::Other => self.listed_images(repository, size, place).await,
        }
    }

    async fn tag_details(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<TagDetail>> {
        let size = page.size_up_to(MAX_PAGE);
        let (way, place) = way(&page)?;
        if way == Way::Other {
            return Err(Error::invalid_cursor());
        }
        match self.described_images(repository, size, place.clone()).await {
            // The host asks for the tags, and then for each tag's digest.
            Err(error) if error.class() == Class::Denied && place.is_none() => {
                Err(Error::unsupported("tag details without ecr:DescribeImages"))
            }
            other => other,
        }
    }

    async fn authorize(&self, access: Access) -> Result<Authorization> {
        let token = self.aws.token(access.renew).await?;
        Ok(Authorization {
            endpoint: token.endpoint.url().clone(),
            repository: access.repository,
            headers: vec![(AUTHORIZATION, token.header)],
            expires: Some(token.fresh_until),
        })
    }
}

/// The ways to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// With all that ECR knows.
    Native,
    /// What a lesser right permits.
    Other,
}

/// The way that a listing is on, and ECR's mark of the place there.
fn way(page: &PageRequest) -> Result<(Way, Option<String>)> {
    let Some(cursor) = &page.after else { return Ok((Way::Native, None)) };
    match cursor.way() {
        Some(("native", place)) => Ok((Way::Native, Some(place.to_owned()))),
        Some(("other", place)) => Ok((Way::Other, Some(place.to_owned()))),
        _ => Err(Error::invalid_cursor()),
    }
}

fn next(way: Way, place: Option<String>) -> Option<Cursor> {
    let name = match way {
        Way::Native => "native",
        Way::Other => "other",
    };
    place.filter(|place| !place.is_empty()).map(|place| Cursor::on_way(name, place))
}

/// A place that ECR does not know is one that an API client made up, or that is too old.
fn with_place<T>(result: Result<T>, has_place: bool) -> Result<T> {
    match result {
        Err(error) if has_place && error.class() == Class::Invalid => Err(Error::invalid_cursor()),
        other => other,
    }
}

impl Ecr {
    /// `DescribeRepositories`.
    async fn described_repositories(&self, size: u32, place: Option<String>) -> Result<Page<RepositoryName>> {
        let what = format!("list the repositories of {}", self.aws.place.name());
        let answer = self.aws.ask("ecr:DescribeRepositories", what, |ecr| {
            let call = ecr
                .describe_repositories()
                .set_registry_id(self.aws.place.account.clone())
                .max_results(size.cast_signed())
                .set_next_token(place.clone());
            async move { call.send().await }
        });
        let answer = with_place(answer.await, place.is_some())?;
        let names = answer.repositories().iter().filter_map(|repository| repository.repository_name());
        let items = names.filter_map(|name| name.parse().ok()).collect();
        Ok(Page { items, next: next(Way::Native, answer.next_token) })
    }

    /// `DescribeImages`, of images with tags.
    async fn described_images(
        &self,
        repository: &RepositoryName,
        size: u32,
        place: Option<String>,
    ) -> Result<Page<TagDetail>> {
        let what = format!("list the images of {repository}");
        let answer = self.aws.ask("ecr:DescribeImages", what, |ecr| {
            let call = ecr
                .describe_images()
                .set_registry_id(self.aws.place.account.clone())
                .repository_name(repository.as_str())
                .filter(DescribeImagesFilter::builder().tag_status(TagStatus::Tagged).build())
                .max_results(size.cast_signed())
                .set_next_token(place.clone());
            async move { call.send().await }
        });
        let answer = with_place(answer.await, place.is_some())?;
        let items = answer.image_details().iter().flat_map(image::tags).collect();
        Ok(Page { items, next: next(Way::Native, answer.next_token) })
    }

    /// `ListImages`, of images with tags: the right to it is granted more often than that to describe them.
    async fn listed_images(
        &self,
        repository: &RepositoryName,
        size: u32,
        place: Option<String>,
    ) -> Result<Page<Tag>> {
        let what = format!("list the tags of {repository}");
        let answer = self.aws.ask("ecr:ListImages", what, |ecr| {
            let call = ecr
                .list_images()
                .set_registry_id(self.aws.place.account.clone())
                .repository_name(repository.as_str())
                .filter(ListImagesFilter::builder().tag_status(TagStatus::Tagged).build())
                .max_results(size.cast_signed())
                .set_next_token(place.clone());
            async move { call.send().await }
        });
        let answer = with_place(answer.await, place.is_some())?;
        let tags = answer.image_ids().iter().filter_map(|image| image.image_tag());
        let items = tags.filter_map(|tag| tag.parse().ok()).collect();
        Ok(Page { items, next: next(Way::Other, answer.next_token) })
    }

    /// `/v2/_catalog`, which a repository policy or an endpoint policy may allow where it forbids the API.
    async fn catalog(&self, size: u32, place: Option<String>) -> Result<Page<RepositoryName>> {
        let query = PageQuery { n: Some(size), after: place };
        let mut refused = false;
        loop {
            let session = self.registry(&self.aws.token(refused).await?);
            match session.catalog(&query, &Scope::none()).await {
                Err(ProtocolError::CredentialsRejected { .. }) if !refused => refused = true,
                listed => {
                    let listed = listed?;
                    return Ok(Page { items: listed.items, next: next(Way::Other, listed.next) });
                }
            }
        }
    }

    /// `/v2/` with this token.
    fn registry(&self, token: &Token) -> Session {
        let endpoint: Endpoint = token.endpoint.clone();
        let headers = FixedHeaders::new(endpoint.host(), [(AUTHORIZATION, token.header.clone())]);
        Session::new(Arc::new(self.host.clone()), endpoint, Arc::new(headers))
    }

    /// Whether repositories may be listed, and the first one of them.
    async fn may_list(&self) -> Result<(Check, Option<RepositoryName>)> {
        match self.repositories(PageRequest { size: 1, after: None }).await {
            Ok(page) => {
                let first = first_repository(self, page).await;
                let detail = match &first {
                    Some(_) => "the repositories can be listed".to_owned(),
                    None => "the repositories can be listed, and there are none".to_owned(),
                };
                Ok((Check::passed(Check::LIST, detail), first))
            }
            Err(error) if error.class() == Class::Denied => {
                Ok((Check::denied(Check::LIST, error.message()), None))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether one may pull from this repository: by asking the registry itself for a manifest.
    async fn may_pull(&self, repository: Option<RepositoryName>, token: &Token) -> Check {
        let Some(repository) = repository else {
            return Check::skipped(Check::PULL, "there is no repository to try it with");
        };
        let tag = match self.tags(&repository, PageRequest { size: 1, after: None }).await {
            Ok(page) => page.items.into_iter().next(),
            Err(error) => {
                let detail = format!("no tag of {repository} is known to try it with: {error}");
                return Check::skipped(Check::PULL, detail);
            }
        };
        let Some(tag) = tag else {
            return Check::skipped(
                Check::PULL,
                format!("{repository} has no image with a tag to try it with"),
            );
        };
        let client = self.registry(token).client(repository.clone());
        match client.may_read(&Reference::Tag(tag.clone())).await {
            Ok(()) => {
                Check::passed(Check::PULL, format!("{} may pull from {repository}", self.aws.place.caller()))
            }
            Err(error) if matches!(error.class(), Class::Denied | Class::Authentication) => {
                let detail = format!(
                    "{} may not pull {repository}:{tag}: grant it ecr:BatchGetImage and ecr:GetDownloadUrlForLayer",
                    self.aws.place.caller()
                );
                Check::denied(Check::PULL, detail)
            }
            Err(error) => Check::failed(Check::PULL, error.to_string()),
        }
    }
}
