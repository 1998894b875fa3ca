//! What a connection can do, tried out.

use regent_distribution::{Page, PageQuery};
use regent_oci::{Reference, RepositoryName};
use regent_plugin_api::{Check, Validation};
use regent_transport::{Class, Fault as _};

use crate::error::Error;
use crate::registry::{GoogleRegistry, ROLE};

impl GoogleRegistry {
    /// Tries what the connection can do.
    ///
    /// # Errors
    /// Where the registry can't be reached, or does not take the credentials.
    pub(crate) async fn validate(&self) -> Result<Validation, Error> {
        self.registry.ping().await?;
        let (list, first) = self.may_list().await?;
        let pull = match first {
            Some(repository) => self.may_pull(&repository).await?,
            None => Check::skipped(Check::PULL, "there is no repository to try it with"),
        };
        let registry = self.endpoint().host();
        let reached = Check::passed(Check::REACHED, format!("{registry} answers at /v2/"));
        let authenticated =
            Check::passed(Check::AUTHENTICATED, format!("{registry} accepts the connection's credentials"));
        Ok(Validation { registry, checks: vec![reached, authenticated, list, pull] })
    }

    async fn may_list(&self) -> Result<(Check, Option<RepositoryName>), Error> {
        let (Page { items, next, .. }, refusal) = match self.list_from_start(1).await {
            Ok(listed) => listed,
            Err(error) if error.class() == Class::Denied => {
                return Ok((Check::denied(Check::LIST, error.to_string()), None));
            }
            Err(error) => return Err(error),
        };
        let first = items.into_iter().next();
        let sentence = match refusal {
            Some(error) => format!("repositories can be listed, in a slower way than could be: {error}"),
            None if first.is_none() && next.is_none() => format!(
                "the list of repositories can be read, and is empty: if it should not be, check the registryBase, and \
                 where {ROLE} is granted"
            ),
            None => "the list of repositories can be read".to_owned(),
        };
        Ok((Check::passed(Check::LIST, sentence), first))
    }

    /// Asks for one manifest: tags can be read with less than the right to pull.
    async fn may_pull(&self, repository: &RepositoryName) -> Result<Check, Error> {
        let client = self.registry.client(repository.clone());
        let tried = match client.tags(&PageQuery::first(1)).await.map(|page| page.items.into_iter().next()) {
            Ok(Some(tag)) => client.may_read(&Reference::Tag(tag)).await,
            Ok(None) => {
                return Ok(Check::skipped(Check::PULL, format!("{repository} has no tag to try it with")));
            }
            Err(error) => Err(error),
        };
        match tried {
            Ok(()) => Ok(Check::passed(Check::PULL, format!("the credentials may pull from {repository}"))),
            Err(error) if error.class() == Class::Absent => {
                Ok(Check::skipped(Check::PULL, format!("{error}; try it with another repository")))
            }
            Err(error) if error.class() == Class::Denied => {
                Ok(Check::denied(Check::PULL, self.refused_pull(error, repository).to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }
}
