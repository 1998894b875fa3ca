//! Names of images, and the resources of the Artifact Registry API that they stand for.

use regent_oci::RepositoryName;

/// Where the repositories of the host are, and how names are made of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `LOCATION-docker.pkg.dev`: names are `PROJECT/REPOSITORY/IMAGE`.
    PerRepository {
        /// Where all its repositories are.
        location: String,
    },
    /// `gcr.io` and its regional names: names are `PROJECT/IMAGE`, all in one repository (Google, "Overview of gcr.io
    /// repositories on Artifact Registry").
    OneRepository {
        /// Where it is.
        location: &'static str,
        /// What it is called.
        repository: &'static str,
    },
}

/// What a name says: whose it is, and what in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// As the API has it: `acme`, or `example.com:acme` of a domain-scoped project.
    pub(crate) project: String,
    /// The repository of Artifact Registry; none if the name ends before it.
    pub(crate) repository: Option<Parent>,
    /// The image, of one part or more; none if the name ends before it.
    pub(crate) image: Option<String>,
}

/// A repository of Artifact Registry, which holds images ("packages").
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) project: String,
    pub(crate) location: String,
    pub(crate) repository: String,
    /// What stands in front of its images' names.
    pub(crate) names: String,
}

impl Layout {
    /// That of a host of Artifact Registry.
    pub(crate) fn of_artifact_registry(host: &str) -> Option<Self> {
        let location = host.strip_suffix("-docker.pkg.dev")?;
        let wellformed = location.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        (wellformed && !location.is_empty()).then(|| Self::PerRepository { location: location.to_owned() })
    }

    /// That of a host of Container Registry.
    pub(crate) fn of_container_registry(host: &str) -> Option<Self> {
        let (location, repository) = match host {
            "gcr.io" => ("us", "gcr.io"),
            "us.gcr.io" => ("us", "us.gcr.io"),
            "eu.gcr.io" => ("europe", "eu.gcr.io"),
            "asia.gcr.io" => ("asia", "asia.gcr.io"),
            _ => return None,
        };
        Some(Self::OneRepository { location, repository })
    }

    pub(crate) fn location(&self) -> &str {
        match self {
            Self::PerRepository { location } => location,
            Self::OneRepository { location, .. } => location,
        }
    }

    /// What a name, or the beginning of one, says; `None` if it does not reach to a project.
    pub(crate) fn place(&self, name: &RepositoryName) -> Option<Place> {
        let (first, mut rest) = cut(name.as_str());
        let (mut project, mut names) = (first.to_owned(), first.to_owned());
        // No project's own name has a dot: it is the domain that scopes it.
        if first.contains('.') {
            let (own, behind) = cut(rest?);
            project = format!("{first}:{own}");
            names = format!("{first}/{own}");
            rest = behind;
        }
        let repository = match self {
            Self::OneRepository { repository, .. } => Some((*repository).to_owned()),
            Self::PerRepository { .. } => rest.map(|text| {
                let (repository, behind) = cut(text);
                names = format!("{names}/{repository}");
                rest = behind;
                repository.to_owned()
            }),
        };
        let location = self.location().to_owned();
        Some(Place {
            repository: repository.map(|repository| Parent {
                project: project.clone(),
                location,
                repository,
                names,
            }),
            project,
            image: rest.map(str::to_owned),
        })
    }

    /// A repository of a project whose names begin with `project_names`.
    pub(crate) fn parent(&self, project: &str, project_names: &str, repository: &str) -> Parent {
        Parent {
            project: project.to_owned(),
            location: self.location().to_owned(),
            repository: repository.to_owned(),
            names: format!("{project_names}/{repository}"),
        }
    }
}

/// Up to the first slash, and what is behind it.
fn cut(text: &str) -> (&str, Option<&str>) {
    text.split_once('/').map_or((text, None), |(first, rest)| (first, Some(rest)))
}

impl Parent {
    /// The API's path to it.
    pub(crate) fn path(&self) -> [&str; 7] {
        ["v1", "projects", &self.project, "locations", &self.location, "repositories", &self.repository]
    }

    /// The name of one of its images.
    pub(crate) fn name(&self, image: &str) -> Option<RepositoryName> {
        format!("{}/{image}", self.names).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_the_host_means_them() {
        let us = Layout::of_artifact_registry("us-docker.pkg.dev").unwrap();
        let eu = Layout::of_container_registry("eu.gcr.io").unwrap();
        let rows = [
            (&us, "acme", "acme", None, None),
            (&us, "acme/apps", "acme", Some(("apps", "acme/apps")), None),
            (&us, "acme/apps/a/b", "acme", Some(("apps", "acme/apps")), Some("a/b")),
            (&us, "example.com/acme", "example.com:acme", None, None),
            (
                &us,
                "example.com/acme/apps/a",
                "example.com:acme",
                Some(("apps", "example.com/acme/apps")),
                Some("a"),
            ),
            (&eu, "acme", "acme", Some(("eu.gcr.io", "acme")), None),
            (&eu, "acme/a/b", "acme", Some(("eu.gcr.io", "acme")), Some("a/b")),
            (
                &eu,
                "example.com/acme/a",
                "example.com:acme",
                Some(("eu.gcr.io", "example.com/acme")),
                Some("a"),
            ),
        ];
        for (layout, name, project, repository, image) in rows {
            let place = layout.place(&name.parse().unwrap()).unwrap();
            assert_eq!(place.project, project, "{name}");
            let found = place.repository.as_ref().map(|p| (p.repository.as_str(), p.names.as_str()));
            assert_eq!(found, repository, "{name}");
            assert_eq!(place.image.as_deref(), image, "{name}");
        }
        assert_eq!(us.place(&"example.com".parse().unwrap()), None);
    }

    #[test]
    fn only_hosts_of_google_have_a_layout() {
        let rows = [("us-docker.pkg.dev", Some("us")), ("europe-west4-docker.pkg.dev", Some("europe-west4"))];
        for (host, location) in rows {
            assert_eq!(Layout::of_artifact_registry(host).as_ref().map(Layout::location), location, "{host}");
        }
        for host in
            ["docker.pkg.dev", "-docker.pkg.dev", "a.b-docker.pkg.dev", "us-docker.pkg.dev.example.com"]
        {
            assert_eq!(Layout::of_artifact_registry(host), None, "{host}");
        }
        for host in ["mirror.gcr.io", "gcr.io.example.com", "xgcr.io"] {
            assert_eq!(Layout::of_container_registry(host), None, "{host}");
        }
    }
}
