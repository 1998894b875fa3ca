//! The access methods of Docker repositories.

use super::super::operation::{Kind, Parameter};

/// What a base leads to.
pub trait Access: Send + Sync + 'static {
    /// The host.
    const HOST: &'static str;
    /// The base behind the host.
    const PATH: &'static str;
    /// Whether names begin with the key of a repository.
    const NAMES_BEGIN_WITH_KEY: bool;
    /// Whether `/v2/` takes tokens only.
    const TOKENS_ONLY: bool = false;
    /// What a request for a token says.
    const TOKEN: &'static [Parameter] = &[
        Parameter::required("service", Kind::OneOf(&[Self::HOST])),
        Parameter::optional("scope", Kind::TEXT).repeated(),
    ];
}

/// By the path of a repository: `host/artifactory/api/docker/<key>`.
#[derive(Debug)]
pub struct ByPath;

impl Access for ByPath {
    const HOST: &'static str = "acme.jfrog.io";
    const PATH: &'static str = "/artifactory/api/docker/docker-local";
    const NAMES_BEGIN_WITH_KEY: bool = false;
}

/// By a host of the repository's own.
#[derive(Debug)]
pub struct BySubdomain;

impl Access for BySubdomain {
    const HOST: &'static str = "docker-local.artifactory.example.com";
    const PATH: &'static str = "";
    const NAMES_BEGIN_WITH_KEY: bool = false;
    const TOKENS_ONLY: bool = true;
}

/// By the host of the server, with the key in front of names.
#[derive(Debug)]
pub struct ByServer;

impl Access for ByServer {
    const HOST: &'static str = "artifactory.example.com";
    const PATH: &'static str = "";
    const NAMES_BEGIN_WITH_KEY: bool = true;
}
