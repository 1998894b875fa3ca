//! Routes that ask a registry and answer in the request. A client that hangs up drops the future, and with it whatever
//! the registry was being asked.

use http::HeaderMap;
use regent_distribution::ManifestHead;
use regent_oci::{Digest, ImageRef, Platform, RepositoryName};
use regent_plugin_api::{Cursor, Outcome};
use regent_report::Compat;
use regent_scan::CAPTURE_VERSION;

use super::answer::Answer;
use super::context::Context;
use super::problem::Problem;
use super::route::TagsPage;
use super::wire;
use crate::told_time;

pub(super) async fn system_check(context: &Context, headers: &HeaderMap) -> Result<Answer, Problem> {
    let (registry, connection) = context.open(headers, None).await?;
    let validation = context.call(&registry, registry.validate()).await?;
    let checks: Vec<_> = validation
        .checks
        .into_iter()
        .map(|check| wire::Check { name: check.name, outcome: outcome(check.outcome), detail: check.detail })
        .collect();
    Ok(Answer::ok(&wire::SystemCheck {
        ok: checks.iter().all(|check| check.outcome != "failed"),
        registry_type: connection.registry_type,
        registry: validation.registry,
        checks,
    }))
}

pub(super) async fn repositories(context: &Context, headers: &HeaderMap) -> Result<Answer, Problem> {
    if context.list_disabled {
        return Ok(Answer::ok(&[""; 0]));
    }
    let (registry, _) = context.open(headers, None).await?;
    let repositories = context.call(&registry, registry.repositories()).await?;
    Ok(Answer::ok(&texts(&repositories)))
}

pub(super) async fn tags(
    context: &Context,
    headers: &HeaderMap,
    repository: &RepositoryName,
) -> Result<Answer, Problem> {
    let (registry, _) = context.open(headers, None).await?;
    let tags = context.call(&registry, registry.tags(repository)).await?;
    Ok(Answer::ok(&texts(&tags)))
}

pub(super) async fn tags_page(
    context: &Context,
    headers: &HeaderMap,
    repository: &RepositoryName,
    page: TagsPage,
) -> Result<Answer, Problem> {
    let (registry, _) = context.open(headers, None).await?;
    let listing = registry.tags_page(repository, page.size, page.last.map(Cursor));
    let page = context.call(&registry, listing).await?;
    Ok(Answer::ok(&wire::TagsPage { tags: texts(&page.items), last: page.next.map(|Cursor(text)| text) }))
}

pub(super) async fn tag_details(
    context: &Context,
    headers: &HeaderMap,
    repository: &RepositoryName,
) -> Result<Answer, Problem> {
    let (registry, _) = context.open(headers, None).await?;
    let details = context.call(&registry, registry.tag_details(repository)).await?;
    let details: Vec<_> = details
        .into_iter()
        .map(|detail| wire::TagDetail {
            tag: detail.tag.to_string(),
            digest: detail.digest.to_string(),
            last_pushed: detail.pushed.and_then(told_time::exact),
            size_bytes: detail.size_bytes,
        })
        .collect();
    Ok(Answer::ok(&details))
}

pub(super) async fn image_metadata(
    context: &Context,
    headers: &HeaderMap,
    image: &ImageRef,
    platform: Option<&str>,
) -> Result<Answer, Problem> {
    let platform = platform.map(parse_platform).transpose()?;
    let (registry, _) = context.open(headers, None).await?;
    let resolved = context.call(&registry, registry.resolve(image, platform.as_ref())).await?;
    Ok(Answer::ok(&wire::ImageMetadata::of(&resolved)))
}

pub(super) async fn state_identifier(
    context: &Context,
    headers: &HeaderMap,
    image: &ImageRef,
    platform: Option<&str>,
) -> Result<Answer, Problem> {
    let platform = platform.map(parse_platform).transpose()?;
    let (registry, _) = context.open(headers, None).await?;
    let head = context.call(&registry, registry.head(image)).await?;
    Ok(Answer::ok(&state(&head, platform.as_ref(), context.compat)))
}

fn state(head: &ManifestHead, platform: Option<&Platform>, compat: Compat) -> wire::StateIdentifier {
    let state_identifier = identifier(&head.digest, platform, compat).to_string();
    let index_digest = head.media_type.is_index().then(|| head.digest.to_string());
    wire::StateIdentifier { state_identifier, index_digest }
}

/// Changes if and only if another scan could give another result: with the content (the digest), with what is made of it
/// (the program's version and the release that is matched), and with the choice among an index's images.
fn identifier(digest: &Digest, platform: Option<&Platform>, compat: Compat) -> Digest {
    let platform = platform.map(|p| p.clone().to_string()).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    Digest::sha256(format!("{digest}\n{platform}\n{version}\n{CAPTURE_VERSION}\n{compat:?}").as_bytes())
}

pub(super) fn parse_platform(text: &str) -> Result<Platform, Problem> {
    text.parse().map_err(|_| {
        Problem::new("request_malformed", "platform must be os/architecture or os/architecture/variant")
    })
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Denied => "denied",
        Outcome::Skipped => "skipped",
        // The enum is open; what this build does not know did not pass.
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use regent_oci::MediaType;

    use super::*;

    #[test]
    fn a_state_identifier_depends_on_content_platform_and_release() {
        let (a, b) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
        let arm: Platform = "linux/arm64".parse().unwrap();
        let base = identifier(&a, None, Compat::V9_8);
        assert_eq!(base, identifier(&a, None, Compat::V9_8));
        for other in [
            identifier(&b, None, Compat::V9_8),
            identifier(&a, Some(&arm), Compat::V9_8),
            identifier(&a, None, Compat::V9_20),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn the_digest_is_told_of_an_index_and_of_nothing_else() {
        let rows =
            [(MediaType::OCI_INDEX, true), (MediaType::DOCKER_INDEX, true), (MediaType::OCI_MANIFEST, false)];
        for (media_type, is_told) in rows {
            let head = ManifestHead {
                digest: Digest::sha256(b"a"),
                media_type: MediaType::new(media_type),
                size_bytes: None,
            };
            let state = state(&head, None, Compat::V9_8);
            assert_eq!(state.index_digest, is_told.then(|| head.digest.to_string()), "{media_type}");
        }
    }
}
