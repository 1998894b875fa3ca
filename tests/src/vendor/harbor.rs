//! Harbor 2: projects with repositories, robot accounts; the API, the token service, `/v2/`.
//!
//! The table is transcribed from goharbor/harbor `api/v2.0/swagger.yaml`. What that does not say is from Harbor's sources:
//! `src/server/middleware/v2auth/auth.go` (challenges), `src/core/service/token/creator.go` (tokens),
//! `src/server/v2.0/handler/{base,project,repository}.go` (rights, links), `src/server/registry/{catalog,tag}.go` (lists).

mod api;
pub mod scene;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;

use super::distribution::{self, Paging};
use super::emulator::Vendor;
use super::message::{Answer, Received, json as answer_json, text, with_header};
use super::operation::{Kind, Operation, Parameter, PathValues, Payload, Violation};
use super::store::Store;
use super::tokens::Tokens;

/// Where it is.
pub const HOST: &str = "harbor.example.com";

/// `token_expiration`, 30 minutes unless set otherwise.
const LIFETIME: Duration = Duration::from_mins(30);
const PAGING: Paging = Paging::Names { default: 0, max: usize::MAX };

const TOKEN: Operation = Operation {
    id: "token",
    source: "goharbor/harbor src/core/service/token/creator.go",
    host: HOST,
    methods: &["GET"],
    path: std::borrow::Cow::Borrowed("/service/token"),
    query: &[
        Parameter::required("service", Kind::OneOf(&["harbor-registry"])),
        Parameter::optional("scope", PULL).repeated(),
        Parameter::optional("account", Kind::TEXT),
        Parameter::optional("client_id", Kind::TEXT),
        Parameter::optional("offline_token", Kind::BOOLEAN),
    ],
    headers: &[],
    body: Payload::Nothing,
};

/// There is no token for anything else that reads.
const PULL: Kind = Kind::Like {
    example: "repository:team/app:pull",
    counterexample: "registry:catalog:*",
    fits: |value| {
        let name = value.strip_prefix("repository:").and_then(|rest| rest.strip_suffix(":pull"));
        name.is_some_and(|name| name.contains('/'))
    },
};

/// What a robot account may be granted, by the names of Harbor's page for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// `List Repository`.
    ListRepository,
    /// `List Artifact`.
    ListArtifact,
    /// `Pull Repository`.
    PullRepository,
}

impl Right {
    /// All that a driver asks for.
    pub const ALL: [Self; 3] = [Self::ListRepository, Self::ListArtifact, Self::PullRepository];
}

/// Who may see what.
#[derive(Debug, Clone)]
pub enum Account {
    /// A system administrator.
    Admin,
    /// A user who is a member of these projects.
    User(Vec<String>),
    /// A robot account with rights in these projects: in one, a project's robot; `None`, in all.
    Robot(Option<Vec<String>>, BTreeSet<Right>),
}

impl Account {
    /// A robot account.
    pub fn robot(project: Option<&str>, rights: &[Right]) -> Self {
        Self::Robot(project.map(|p| vec![p.to_owned()]), rights.iter().copied().collect())
    }
}

/// The vendor. All passwords are `s3cr3t`.
#[derive(Debug, Default)]
pub struct Harbor {
    /// What the projects hold.
    pub store: Store,
    /// By full name: `robot$team+scan` for a robot of the project `team`.
    pub accounts: BTreeMap<String, Account>,
    /// Projects that everyone may read. All others are private.
    pub public: BTreeSet<String>,
    /// Shows robots nothing but public projects at `/repositories`, as older versions do.
    pub robots_see_public_only: bool,
    /// Names its token service with `http://`, as behind a proxy that ends TLS.
    pub names_plain_http: bool,
    /// A proxy in front answers paths that begin like this with 403.
    pub blocked: Option<&'static str>,
    tokens: Tokens,
}

/// Who sent a request, as far as Harbor can tell.
enum Visitor {
    Anonymous,
    Known(String, Account),
    Bearer { account: String, pulls: Vec<String> },
}

impl Harbor {
    /// Lets all tokens expire.
    pub fn expire_tokens(&mut self) {
        self.tokens.expire();
    }

    /// Who sent it. Wrong passwords and dead tokens are no error: they make an anonymous visitor.
    fn visitor(&self, request: &Received) -> Visitor {
        if let Some(token) = request.bearer().and_then(|token| self.tokens.get(token, request.at)) {
            return Visitor::Bearer { account: token.account.clone(), pulls: token.grants.clone() };
        }
        let known = request.basic().filter(|(_, password)| password == "s3cr3t");
        let known = known.and_then(|(name, _)| Some((self.accounts.get(&name)?.clone(), name)));
        known.map_or(Visitor::Anonymous, |(account, name)| Visitor::Known(name, account))
    }

    fn has_project(&self, project: &str) -> bool {
        self.public.contains(project) || self.projects().contains(project)
    }

    fn projects(&self) -> BTreeSet<String> {
        let filled =
            self.store.repositories.keys().filter_map(|name| Some(name.split_once('/')?.0.to_owned()));
        filled.chain(self.public.iter().cloned()).collect()
    }

    /// Whether a visitor who came with a name and password, or nothing, may do this in a project.
    fn may(&self, visitor: &Visitor, right: Right, project: &str) -> bool {
        let public = self.public.contains(project);
        let is_one = |projects: &[String]| projects.iter().any(|p| p == project);
        match visitor {
            Visitor::Known(_, Account::Admin) => true,
            Visitor::Known(_, Account::User(projects)) => public || is_one(projects),
            Visitor::Known(_, Account::Robot(projects, rights)) => {
                public || (projects.as_deref().is_none_or(is_one) && rights.contains(&right))
            }
            Visitor::Anonymous => public,
            Visitor::Bearer { .. } => false,
        }
    }

    /// A token for whoever asks: only a login without any scope is refused to strangers.
    fn issue_token(&mut self, request: &Received) -> Answer {
        let visitor = self.visitor(request);
        let scopes = distribution::scopes(&request.query);
        if scopes.is_empty() && !visitor.is_authenticated() {
            return error(401, "UNAUTHORIZED");
        }
        let project =
            |scope: &str| scope.trim_start_matches("repository:").split('/').next().unwrap().to_owned();
        let granted = scopes.into_iter().filter(|s| self.may(&visitor, Right::PullRepository, &project(s)));
        let granted: Vec<String> = granted.collect();
        let account = match visitor {
            Visitor::Known(name, _) => name,
            Visitor::Anonymous | Visitor::Bearer { .. } => String::new(),
        };
        let token = self.tokens.issue(&account, granted, request.at, LIFETIME);
        let issued_at = time::OffsetDateTime::from(request.at);
        let issued_at = issued_at.format(&time::format_description::well_known::Rfc3339).unwrap();
        let seconds = LIFETIME.as_secs();
        answer_json(
            200,
            &json!({ "token": token, "access_token": token, "expires_in": seconds, "issued_at": issued_at }),
        )
    }

    /// Whether `/v2/` lets it pass; else 401 with the challenge that fits.
    fn refuse_at_registry(&self, operation: &str, path: &PathValues, request: &Received) -> Option<Answer> {
        let visitor = self.visitor(request);
        let has_header = request.headers.contains_key("authorization");
        let Some(name) = path.get("name") else {
            let is_catalog = operation == distribution::CATALOG;
            let permitted = match visitor {
                Visitor::Known(_, Account::Admin) => true,
                _ => !is_catalog && visitor.is_authenticated(),
            };
            return (!permitted).then(|| self.challenge(has_header || is_catalog, None));
        };
        if !has_header {
            return Some(self.challenge(false, Some(name)));
        }
        let project = name.split('/').next().unwrap();
        if !self.has_project(project) {
            // "Not found", it means.
            return Some(with_header(error(401, "UNAUTHORIZED"), "www-authenticate", ""));
        }
        let permitted = match &visitor {
            Visitor::Bearer { pulls, .. } => pulls.contains(&format!("repository:{name}:pull")),
            other => self.may(other, Right::PullRepository, project),
        };
        (!permitted).then(|| self.challenge(true, None))
    }

    /// Basic for whoever came with something, whatever is wrong with it.
    fn challenge(&self, basic: bool, repository: Option<&str>) -> Answer {
        if basic {
            return with_header(error(401, "UNAUTHORIZED"), "www-authenticate", "Basic realm=\"harbor\"");
        }
        let scheme = if self.names_plain_http { "http" } else { "https" };
        let scope = repository.map(|name| format!("repository:{name}:pull"));
        distribution::challenge(
            &format!("{scheme}://{HOST}/service/token"),
            "harbor-registry",
            scope.as_deref(),
        )
    }
}

impl Visitor {
    fn is_authenticated(&self) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Known(..) => true,
            Self::Bearer { account, .. } => !account.is_empty(),
        }
    }
}

impl Vendor for Harbor {
    fn operations(&self) -> Vec<Operation> {
        let mut all = api::OPERATIONS.to_vec();
        all.push(TOKEN);
        all.extend(distribution::operations(HOST, ""));
        all
    }

    fn answer(
        &mut self,
        operation: &str,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        if self.blocked.is_some_and(|prefix| request.path.starts_with(prefix)) {
            return Ok(text(403, "text/html", "<html>blocked</html>"));
        }
        if request.path.starts_with("/api/") {
            return self.answer_api(operation, path, request);
        }
        if operation == TOKEN.id {
            return Ok(self.issue_token(request));
        }
        if let Some(refusal) = self.refuse_at_registry(operation, path, request) {
            return Ok(refusal);
        }
        if let (distribution::CATALOG, Some(last)) = (operation, request.query("last"))
            && self.store.get(last).is_none()
        {
            return Ok(error(400, "BAD_REQUEST"));
        }
        distribution::answer(&self.store, operation, path, request, PAGING, None)
    }

    fn rate_limited(&self, _: &Received) -> Answer {
        with_header(error(429, "TOOMANYREQUESTS"), "retry-after", "1")
    }

    fn refusal(&self, violation: &Violation) -> Answer {
        error(violation.status, "BAD_REQUEST")
    }
}

fn error(status: u16, code: &str) -> Answer {
    distribution::error(status, code)
}
