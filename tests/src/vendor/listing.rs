//! Listings of a driver, page by page to their ends.

use regent_oci::{RepositoryName, Tag};
use regent_plugin_api::transport::BoxFuture;
use regent_plugin_api::{DynDriver, Page, PageRequest, Result, TagDetail};

/// All repositories, in pages of about `size`.
pub async fn repositories(driver: &dyn DynDriver, size: u32) -> Result<Vec<RepositoryName>> {
    walk(size, |page| driver.repositories(page)).await
}

/// All repositories by their names, in pages of about `size`.
pub async fn repository_names(driver: &dyn DynDriver, size: u32) -> Result<Vec<String>> {
    Ok(repositories(driver, size).await?.iter().map(ToString::to_string).collect())
}

/// All tags of a repository, in pages of about `size`.
pub async fn tags(driver: &dyn DynDriver, repository: &RepositoryName, size: u32) -> Result<Vec<Tag>> {
    walk(size, |page| driver.tags(repository, page)).await
}

/// All tags of a repository with their details, in pages of about `size`.
pub async fn tag_details(
    driver: &dyn DynDriver,
    repository: &RepositoryName,
    size: u32,
) -> Result<Vec<TagDetail>> {
    walk(size, |page| driver.tag_details(repository, page)).await
}

async fn walk<T>(
    size: u32,
    fetch: impl Fn(PageRequest) -> BoxFuture<'static, Result<Page<T>>>,
) -> Result<Vec<T>> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = fetch(PageRequest { size, after }).await?;
        all.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}
