//! `regent operations`: asks a running agent, over HTTP.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use http::{Method, StatusCode};
use regent_transport::{Request, Transport as _, collect};
use serde::Deserialize;
use serde_json::Value;
use url::{Host, Url};

use super::{Failure, OperationsArgs, OperationsCommand, output, parts};
use crate::http::{Egress, HttpTransport, Purpose};
use crate::jobs::OperationId;
use crate::settings::Settings;

/// What is read of an answer: some tens of thousands of operations.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

pub(super) async fn run(arguments: &OperationsArgs) -> Result<(), Failure> {
    let settings = parts::settings()?;
    let url = arguments.agent.clone().map_or_else(|| own_agent(&settings), Ok)?;
    let agent = Agent::new(url, settings)?;
    match &arguments.command {
        OperationsCommand::List { dead_letters, json } => {
            let listed = agent.list(*dead_letters).await?;
            output::write(None, if *json { pretty(&listed) } else { table(&listed) }.as_bytes())
        }
        OperationsCommand::Show { id, json } => {
            let shown = agent.show(*id).await?;
            output::write(None, if *json { pretty(&shown) } else { page(&shown) }.as_bytes())
        }
        OperationsCommand::Redeliver { ids } => {
            for id in ids {
                agent.redeliver(*id).await?;
                output::say(format_args!("operation {id} is delivered again"));
            }
            Ok(())
        }
        OperationsCommand::Drop { ids } => {
            for id in ids {
                agent.drop(*id).await?;
                output::say(format_args!("operation {id} is dropped"));
            }
            Ok(())
        }
    }
}

/// `--agent URL`.
pub(super) fn agent_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("{e}; one looks like http://127.0.0.1:17500"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("it begins with http:// or https://".to_owned());
    }
    Ok(url)
}

/// The agent that these settings are of, if it runs on this machine.
fn own_agent(settings: &Settings) -> Result<Url, Failure> {
    let scheme = if settings.certificate.is_some() { "https" } else { "http" };
    let everywhere = |address: &IpAddr| address.is_unspecified();
    let address = settings.listen.filter(|a| !everywhere(a)).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let authority = std::net::SocketAddr::new(address, settings.port);
    Url::parse(&format!("{scheme}://{authority}")).map_err(|e| Failure::usage(e.to_string()))
}

/// A running agent, as its operators' routes see it.
struct Agent {
    base: Url,
    transport: HttpTransport,
}

/// A problem as the agent words it.
#[derive(Deserialize)]
struct Problem {
    r#type: String,
    detail: String,
}

impl Agent {
    fn new(base: Url, mut settings: Settings) -> Result<Self, Failure> {
        let is_here = match base.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if is_here {
            // A proxy would look for it on its own machine.
            (settings.network.http_proxy, settings.network.https_proxy) = (None, None);
        }
        let http = crate::serve::http_client(&settings)?;
        // The operator named the host.
        Ok(Self { base, transport: http.with(Egress::callbacks(), Purpose::Broker) })
    }

    async fn list(&self, only_dead_letters: bool) -> Result<Value, Failure> {
        let mut url = self.url(&[]);
        url.set_query(only_dead_letters.then_some("deadLetters"));
        self.ask(Method::GET, url).await
    }

    async fn show(&self, id: OperationId) -> Result<Value, Failure> {
        self.ask(Method::GET, self.url(&[&id.to_string()])).await
    }

    async fn redeliver(&self, id: OperationId) -> Result<Value, Failure> {
        self.ask(Method::POST, self.url(&[&id.to_string(), "redeliver"])).await
    }

    async fn drop(&self, id: OperationId) -> Result<Value, Failure> {
        self.ask(Method::DELETE, self.url(&[&id.to_string()])).await
    }

    fn url(&self, below: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Fails only for URLs without a host.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("operations").extend(below);
        }
        url
    }

    /// The answer's JSON; null where it has no body.
    async fn ask(&self, method: Method, url: Url) -> Result<Value, Failure> {
        let mut request = Request::new(method, url);
        request.max_body_bytes = MAX_ANSWER_BYTES;
        let authority = self.base.authority();
        let unreachable = |error| Failure::no_agent(format!("no agent answers at {authority}: {error}"));
        let answer = self.transport.send(request).await.map_err(unreachable)?;
        let status = answer.status;
        let body = collect(answer.body).await.map_err(unreachable)?;
        if status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        let foreign =
            || Failure::no_agent(format!("what answers at {authority} is no agent (status {status})"));
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| foreign());
        }
        let problem: Problem = serde_json::from_slice(&body).map_err(|_| foreign())?;
        Err(Failure::answered(status, &problem.r#type, &printable(&problem.detail)))
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// One line an operation.
fn table(operations: &Value) -> String {
    let mut text = String::new();
    for operation in operations.as_array().into_iter().flatten() {
        let field = |name| text_of(operation.get(name)).unwrap_or_else(|| "-".to_owned());
        let why = operation.get("undelivered").or_else(|| operation.get("error")).and_then(|p| p.get("type"));
        // Writing to a String can't fail.
        let _ = writeln!(
            text,
            "{}  {:<13}  {:<8}  {}  {}  {}",
            field("operationId"),
            field("state"),
            field("kind"),
            field("acceptedAt"),
            field("image"),
            text_of(why).unwrap_or_else(|| field("status")),
        );
    }
    text
}

/// One operation for people to read.
fn page(operation: &Value) -> String {
    const ROWS: [(&str, &str); 13] = [
        ("operation", "/operationId"),
        ("kind", "/kind"),
        ("image", "/image"),
        ("type", "/type"),
        ("correlation", "/correlationId"),
        ("priority", "/priority"),
        ("accepted", "/acceptedAt"),
        ("attempts", "/attempts"),
        ("state", "/state"),
        ("since", "/since"),
        ("status", "/status"),
        ("next try", "/notBefore"),
        ("last try", "/lastFailure"),
    ];
    let mut text = String::new();
    let mut row = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            // Writing to a String can't fail.
            let _ = writeln!(text, "{name:<11}  {value}");
        }
    };
    for (name, pointer) in ROWS {
        row(name, text_of(operation.pointer(pointer)));
    }
    for name in ["error", "undelivered"] {
        let part = |field| text_of(operation.get(name)?.get(field));
        row(name, part("detail").map(|detail| format!("{detail} ({})", part("type").unwrap_or_default())));
    }
    row("digest", text_of(operation.pointer("/summary/manifestDigest")));
    text
}

/// A text or number, without what would move the cursor: some of it comes from requests.
fn text_of(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(printable(text)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
