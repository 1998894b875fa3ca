//! The table of routes, and request lines → routes.

use http::Method;
use percent_encoding::percent_decode_str;
use regent_oci::{ImageRef, Reference, RepositoryName};

use super::problem::{Methods, Problem};
use super::query::Query;

/// One row of the table: what the OpenAPI document and the metrics name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The method. GET routes answer HEAD as well.
    pub method: &'static str,
    /// The path; `{…}` may hold slashes.
    pub pattern: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
}

/// All routes.
pub const ROUTES: &[Row] = &[
    row("GET", "/healthcheck", "Liveness; touches no registry"),
    row("GET", "/readiness", "Whether the agent can take work"),
    row("GET", "/systemcheck", "The driver checks the connection against the registry"),
    row("GET", "/validate-credentials", "The same check"),
    row("GET", "/list", "All repositories"),
    row("GET", "/list/{repository}", "All tags of a repository"),
    row("GET", "/list-paginated/{repository}", "One page of a repository's tags"),
    row("GET", "/list-with-metadata/{repository}", "Tags with digest, time of the last push and size"),
    row("GET", "/image-metadata/{repository}", "Manifest, configuration, platforms and sizes of an image"),
    row("GET", "/get-state-identifier", "A value that changes when a new scan could give another result"),
    row("POST", "/pull", "Brings an image into the agent's layer store"),
    row("POST", "/scan", "Accepts a scan; the results come as callbacks"),
    row("POST", "/discover", "Accepts a scan; the result comes as one callback of the older form"),
    row("GET", "/operations", "All operations that the agent knows of"),
    row("GET", "/operations/{id}", "The state of an accepted operation"),
    row("DELETE", "/operations/{id}", "Forgets an operation that has ended, cancels one that has not"),
    row("POST", "/operations/{id}/redeliver", "Tries the callbacks of a dead-lettered operation again"),
    row("GET", "/drivers", "The drivers, loaded or refused"),
    row("GET", "/metrics", "Metrics in Prometheus' text format"),
    row("GET", "/openapi.json", "This description"),
];

const fn row(method: &'static str, pattern: &'static str, summary: &'static str) -> Row {
    Row { method, pattern, summary }
}

/// A request line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a row of ROUTES, where it is described")]
pub enum Route {
    Healthcheck,
    Readiness,
    Systemcheck,
    ValidateCredentials,
    Repositories,
    Tags(RepositoryName),
    TagsPage(RepositoryName, TagsPage),
    TagDetails(RepositoryName),
    ImageMetadata(ImageRef),
    StateIdentifier(ImageRef),
    Pull,
    Scan,
    Discover,
    Operations,
    Operation(String),
    DropOperation(String),
    Redeliver(String),
    Drivers,
    Metrics,
    OpenApi,
}

/// Which page of tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagsPage {
    /// `pageSize`.
    pub size: u32,
    /// `last`, as the page before gave it.
    pub last: Option<String>,
}

/// Tags on a page when the request names no number, and at most.
const DEFAULT_PAGE_SIZE: u32 = 100;
const MAX_PAGE_SIZE: u32 = 1000;

impl Route {
    /// The pattern, for metrics and logs.
    pub fn pattern(&self) -> &'static str {
        match self {
            Self::Healthcheck => "/healthcheck",
            Self::Readiness => "/readiness",
            Self::Systemcheck => "/systemcheck",
            Self::ValidateCredentials => "/validate-credentials",
            Self::Repositories => "/list",
            Self::Tags(_) => "/list/{repository}",
            Self::TagsPage(..) => "/list-paginated/{repository}",
            Self::TagDetails(_) => "/list-with-metadata/{repository}",
            Self::ImageMetadata(_) => "/image-metadata/{repository}",
            Self::StateIdentifier(_) => "/get-state-identifier",
            Self::Pull => "/pull",
            Self::Scan => "/scan",
            Self::Discover => "/discover",
            Self::Operations => "/operations",
            Self::Operation(_) | Self::DropOperation(_) => "/operations/{id}",
            Self::Redeliver(_) => "/operations/{id}/redeliver",
            Self::Drivers => "/drivers",
            Self::Metrics => "/metrics",
            Self::OpenApi => "/openapi.json",
        }
    }

    /// Understands a request line. Case and trailing slashes don't count; slashes in names may be encoded.
    ///
    /// # Errors
    /// A problem: `route_unknown`, `method_not_allowed`, `name_invalid`, `request_malformed`.
    pub fn parse(method: &Method, path: &str, query: &str) -> Result<Self, Problem> {
        let (head, tail) = split(path);
        let get = |route: Self| allow(method, &Method::GET, route);
        let post = |route: Self| allow(method, &Method::POST, route);
        let query = Query::parse(query);
        match (head.as_str(), tail) {
            ("healthcheck", None) => get(Self::Healthcheck),
            ("readiness", None) => get(Self::Readiness),
            ("systemcheck", None) => get(Self::Systemcheck),
            ("validate-credentials", None) => get(Self::ValidateCredentials),
            ("list", None) => get(Self::Repositories),
            ("list", Some(name)) => get(Self::Tags(repository(name)?)),
            ("list-paginated", Some(name)) => get(Self::TagsPage(repository(name)?, tags_page(&query)?)),
            ("list-with-metadata", Some(name)) => get(Self::TagDetails(repository(name)?)),
            ("image-metadata", Some(name)) => get(Self::ImageMetadata(image(name, &query)?)),
            ("get-state-identifier", None) => get(Self::StateIdentifier(image_of_query(&query)?)),
            ("pull", None) => post(Self::Pull),
            ("scan", None) => post(Self::Scan),
            ("discover", None) => post(Self::Discover),
            ("operations", None) => get(Self::Operations),
            ("operations", Some(tail)) => operation(method, tail),
            ("drivers", None) => get(Self::Drivers),
            ("metrics", None) => get(Self::Metrics),
            ("openapi.json", None) => get(Self::OpenApi),
            _ => Err(unknown()),
        }
    }
}

fn unknown() -> Problem {
    Problem::new("route_unknown", "there is no such route; /openapi.json lists them all")
}

/// The first segment in lower case, and what follows it, if anything does.
fn split(path: &str) -> (String, Option<&str>) {
    let path = path.trim_matches('/');
    let (head, tail) = path.split_once('/').map_or((path, None), |(head, tail)| (head, Some(tail)));
    (head.to_ascii_lowercase(), tail.map(|t| t.trim_matches('/')).filter(|t| !t.is_empty()))
}

fn allow(method: &Method, allowed: &Method, route: Route) -> Result<Route, Problem> {
    let is_head_of_get = *method == Method::HEAD && *allowed == Method::GET;
    if method == allowed || is_head_of_get {
        return Ok(route);
    }
    Err(not_allowed(if *allowed == Method::GET { Methods::Read } else { Methods::Post }))
}

fn not_allowed(allow: Methods) -> Problem {
    let mut problem = Problem::new("method_not_allowed", format!("this route takes {}", allow.as_str()));
    problem.allow = Some(allow);
    problem
}

fn operation(method: &Method, tail: &str) -> Result<Route, Problem> {
    match tail.split_once('/') {
        None => match *method {
            Method::GET | Method::HEAD => Ok(Route::Operation(tail.to_owned())),
            Method::DELETE => Ok(Route::DropOperation(tail.to_owned())),
            _ => Err(not_allowed(Methods::ReadOrDrop)),
        },
        Some((id, action)) if action.eq_ignore_ascii_case("redeliver") => {
            allow(method, &Method::POST, Route::Redeliver(id.to_owned()))
        }
        Some(_) => Err(unknown()),
    }
}

fn decoded(text: &str) -> Result<String, Problem> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(Into::into).map_err(|_| Problem::new("name_invalid", "the path is not UTF-8 behind its escapes"))
}

fn invalid(error: &regent_oci::Error) -> Problem {
    Problem::new("name_invalid", error.to_string())
}

fn repository(text: &str) -> Result<RepositoryName, Problem> {
    decoded(text)?.parse().map_err(|e| invalid(&e))
}

/// `repository?reference=`, or `repository:tag`, or `repository@digest`; the tag `latest` without any.
fn image(text: &str, query: &Query) -> Result<ImageRef, Problem> {
    match query.get("reference") {
        Some(reference) => {
            let reference: Reference = reference.parse().map_err(|e| invalid(&e))?;
            Ok(ImageRef::new(repository(text)?, reference))
        }
        None => ImageRef::parse_or_latest(&decoded(text)?).map_err(|e| invalid(&e)),
    }
}

fn image_of_query(query: &Query) -> Result<ImageRef, Problem> {
    let text = query
        .get("image")
        .ok_or_else(|| Problem::new("request_malformed", "the query parameter image is missing"))?;
    ImageRef::parse_or_latest(text).map_err(|e| invalid(&e))
}

fn tags_page(query: &Query) -> Result<TagsPage, Problem> {
    let size = match query.get("pageSize") {
        None => DEFAULT_PAGE_SIZE,
        Some(text) => match text.parse::<u32>() {
            Ok(size) if size >= 1 => size.min(MAX_PAGE_SIZE),
            _ => return Err(Problem::new("request_malformed", "pageSize must be a whole number from 1")),
        },
    };
    Ok(TagsPage { size, last: query.get("last").map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Route, String> {
        let (method, target) = line.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Route::parse(&method.parse().unwrap(), path, query).map_err(|p| p.code)
    }

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    #[test]
    fn request_lines_are_understood() {
        let page = |size, last: Option<&str>| TagsPage { size, last: last.map(str::to_owned) };
        let image = |text: &str| text.parse::<ImageRef>().unwrap();
        let digest = format!("sha256:{}", "a".repeat(64));
        let rows = [
            ("GET /healthcheck", Ok(Route::Healthcheck)),
            ("GET /HealthCheck/", Ok(Route::Healthcheck)),
            ("HEAD /healthcheck", Ok(Route::Healthcheck)),
            ("POST /healthcheck", Err("method_not_allowed")),
            ("GET /LIST/", Ok(Route::Repositories)),
            ("GET /list/team/app", Ok(Route::Tags(name("team/app")))),
            ("GET /list/team%2Fapp", Ok(Route::Tags(name("team/app")))),
            ("GET /list/team%2fapp/", Ok(Route::Tags(name("team/app")))),
            ("GET /list/Team/app", Err("name_invalid")),
            ("GET /list/team/../app", Err("name_invalid")),
            ("GET /list/team%2F..%2Fapp", Err("name_invalid")),
            ("GET /list/%ff", Err("name_invalid")),
            ("GET /list-paginated", Err("route_unknown")),
            ("GET /list-paginated/a/b", Ok(Route::TagsPage(name("a/b"), page(100, None)))),
            (
                "GET /List-Paginated/a%2Fb?pageSize=5&last=v1%2B",
                Ok(Route::TagsPage(name("a/b"), page(5, Some("v1+")))),
            ),
            ("GET /list-paginated/a?pageSize=0", Err("request_malformed")),
            ("GET /list-paginated/a?pageSize=x", Err("request_malformed")),
            ("GET /list-paginated/a?pageSize=99999", Ok(Route::TagsPage(name("a"), page(1000, None)))),
            ("GET /list-with-metadata/a", Ok(Route::TagDetails(name("a")))),
            ("GET /image-metadata/a/b:1.4", Ok(Route::ImageMetadata(image("a/b:1.4")))),
            ("GET /image-metadata/a%2Fb%3A1.4", Ok(Route::ImageMetadata(image("a/b:1.4")))),
            ("GET /image-metadata/a/b?reference=1.4", Ok(Route::ImageMetadata(image("a/b:1.4")))),
            ("GET /image-metadata/a/b", Ok(Route::ImageMetadata(image("a/b:latest")))),
            ("GET /image-metadata/a/b:1?reference=2", Err("name_invalid")),
            ("GET /get-state-identifier?image=a/b:1", Ok(Route::StateIdentifier(image("a/b:1")))),
            ("GET /get-state-identifier?image=a%2Fb%3A1", Ok(Route::StateIdentifier(image("a/b:1")))),
            ("GET /get-state-identifier", Err("request_malformed")),
            ("POST /scan", Ok(Route::Scan)),
            ("POST /Discover/", Ok(Route::Discover)),
            ("GET /scan", Err("method_not_allowed")),
            ("GET /operations/x", Ok(Route::Operation("x".to_owned()))),
            ("DELETE /operations/x", Ok(Route::DropOperation("x".to_owned()))),
            ("POST /operations/x/redeliver", Ok(Route::Redeliver("x".to_owned()))),
            ("PUT /operations/x", Err("method_not_allowed")),
            ("GET /", Err("route_unknown")),
            ("GET /v2/", Err("route_unknown")),
        ];
        for (line, expected) in rows {
            assert_eq!(parse(line), expected.map_err(str::to_owned), "{line}");
        }
        let by_digest = parse(&format!("GET /image-metadata/a@{digest}")).unwrap();
        assert_eq!(by_digest, Route::ImageMetadata(image(&format!("a@{digest}"))));
    }

    #[test]
    fn every_row_of_the_table_is_a_route_with_that_pattern() {
        for row in ROUTES {
            let path = row.pattern.replace("{repository}", "a/b").replace("{id}", "x");
            let route = Route::parse(&row.method.parse().unwrap(), &path, "image=a:1");
            assert_eq!(route.map(|r| r.pattern()), Ok(row.pattern), "{} {}", row.method, row.pattern);
        }
    }
}
