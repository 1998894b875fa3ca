//! What a connection can do, tried out.

use regent_distribution::{Page, PageQuery};
use regent_oci::{Reference, RepositoryName};
use regent_transport::{Class, Fault as _};

use crate::error::Error;
use crate::registry::{GoogleRegistry, ROLE};

/// What was found: the registry was reached and took the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The registry's host.
    pub registry: String,
    /// Whether repositories can be listed.
    pub list: Finding,
    /// Whether images can be pulled.
    pub pull: Finding,
}

/// How one thing went, in a sentence for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// As it should be.
    Passed(String),
    /// A right is missing; the sentence names it.
    Denied(String),
    /// Not tried, for this reason.
    Skipped(String),
}

impl GoogleRegistry {
    /// Tries what the connection can do.
    ///
    /// # Errors
    /// Where the registry can't be reached, or does not take the credentials.
    pub async fn diagnose(&self) -> Result<Diagnosis, Error> {
        self.registry.ping().await?;
        let (list, first) = self.may_list().await?;
        let pull = match first {
            Some(repository) => self.may_pull(&repository).await?,
            None => Finding::Skipped("there is no repository to try it with".to_owned()),
        };
        Ok(Diagnosis { registry: self.endpoint().host(), list, pull })
    }

    async fn may_list(&self) -> Result<(Finding, Option<RepositoryName>), Error> {
        let (Page { items, next, .. }, refusal) = match self.list_from_start(1).await {
            Ok(listed) => listed,
            Err(error) if error.class() == Class::Denied => {
                return Ok((Finding::Denied(error.to_string()), None));
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
        Ok((Finding::Passed(sentence), first))
    }

    /// Asks for one manifest: tags can be read with less than the right to pull.
    async fn may_pull(&self, repository: &RepositoryName) -> Result<Finding, Error> {
        let client = self.registry.client(repository.clone());
        let tried = match client.tags(&PageQuery::first(1)).await.map(|page| page.items.into_iter().next()) {
            Ok(Some(tag)) => client.may_read(&Reference::Tag(tag)).await,
            Ok(None) => return Ok(Finding::Skipped(format!("{repository} has no tag to try it with"))),
            Err(error) => Err(error),
        };
        match tried {
            Ok(()) => Ok(Finding::Passed(format!("the credentials may pull from {repository}"))),
            Err(error) if error.class() == Class::Absent => {
                Ok(Finding::Skipped(format!("{error}; try it with another repository")))
            }
            Err(error) if error.class() == Class::Denied => {
                Ok(Finding::Denied(self.refused_pull(error, repository).to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }
}
