//! The AWS SDK over the driver's host: its requests, its pauses, its clock and its environment are the host's.
//!
//! The SDK tries again by its own rules and the host never does, so nothing is tried twice over. Nothing here belongs to
//! the process: many connections with different accounts live side by side.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_types::os_shim_internal::Env;
use regent_plugin_api::Host;
use regent_plugin_api::http::header::AUTHORIZATION;
use regent_plugin_api::http::{HeaderName, HeaderValue, Method};
use regent_plugin_api::transport::{Request, TransportError, collect};
use regent_plugin_api::url::Url;

/// One attempt. It is the host that measures it.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// With the pauses in between, less than the host allows a call.
const ATTEMPTS: u32 = 3;
/// 1000 images, each with a hundred tags.
const MAX_ANSWER_BYTES: u64 = 32 << 20;
/// Headers that prove who asks.
const SECRET: [&str; 2] = ["x-amz-security-token", "x-aws-ec2-metadata-token"];
const ENDPOINT: &str = "AWS_ENDPOINT_URL";
const STS_ENDPOINT: &str = "AWS_ENDPOINT_URL_STS";

/// The SDK's configuration, with its default chain of credentials, in the environment of these variables of the host.
/// Reads the profile files; makes no request.
pub(crate) async fn configuration(host: &Host, variables: &[String], region: &str) -> SdkConfig {
    let set = |name: &String| Some((name.clone(), host.env(name).filter(|value| !value.trim().is_empty())?));
    let mut environment: HashMap<String, String> = variables.iter().filter_map(set).collect();
    // The chain's own calls of STS look at the latter alone.
    if let (Some(endpoint), false) =
        (environment.get(ENDPOINT).cloned(), environment.contains_key(STS_ENDPOINT))
    {
        environment.insert(STS_ENDPOINT.to_owned(), endpoint);
    }
    // Where the agent runs, if that is known: its identity may be of another region than the registry.
    let own = ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| environment.get(*name).cloned());
    let timeouts = TimeoutConfig::builder().read_timeout(ATTEMPT_TIMEOUT);
    let bridge = Bridge(host.clone());
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(own.unwrap_or_else(|| region.to_owned())))
        .env(Env::from(environment))
        .http_client(bridge.clone())
        .sleep_impl(bridge.clone())
        .time_source(bridge)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts.build())
        .load()
        .await
}

/// What the SDK takes the host for.
#[derive(Debug, Clone)]
struct Bridge(Host);

impl TimeSource for Bridge {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}

impl AsyncSleep for Bridge {
    fn sleep(&self, duration: Duration) -> Sleep {
        let host = self.0.clone();
        Sleep::new(Shared(Mutex::new(Box::pin(async move { host.sleep(duration).await }))))
    }
}

/// A future that may be shared between threads, which the SDK wants of a pause although it never does so.
struct Shared(Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Future for Shared {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll(context)
    }
}

impl HttpClient for Bridge {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let times = [settings.connect_timeout(), settings.read_timeout()];
        let timeout = times.into_iter().flatten().sum::<Duration>();
        let timeout = if timeout.is_zero() { ATTEMPT_TIMEOUT } else { timeout.min(ATTEMPT_TIMEOUT) };
        SharedHttpConnector::new(Connector { host: self.0.clone(), timeout })
    }
}

struct Connector {
    host: Host,
    timeout: Duration,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (host, timeout) = (self.host.clone(), self.timeout);
        HttpConnectorFuture::new(async move {
            let mut request = translated(&request)
                .map_err(|reason| failed(TransportError::Invalid { reason: reason.to_owned() }))?;
            request.timeout = timeout;
            let answer = host.http(request).await.map_err(failed)?;
            let body = collect(answer.body).await.map_err(failed)?;
            let status = answer.status.as_u16().try_into();
            let mut response = HttpResponse::new(
                status.map_err(|_| failed(TransportError::Invalid { reason: "no status".to_owned() }))?,
                SdkBody::from(body),
            );
            for (name, value) in &answer.headers {
                if let Ok(value) = value.to_str() {
                    response.headers_mut().append(name.as_str().to_owned(), value.to_owned());
                }
            }
            Ok(response)
        })
    }
}

fn translated(request: &HttpRequest) -> Result<Request, &'static str> {
    let method = Method::from_bytes(request.method().as_bytes()).map_err(|_| "its method is none")?;
    let url = Url::parse(request.uri()).map_err(|_| "its URL is none")?;
    let mut translated = Request::new(method, url);
    translated.max_body_bytes = MAX_ANSWER_BYTES;
    for (name, value) in request.headers() {
        let name = HeaderName::try_from(name).map_err(|_| "a header's name is none")?;
        let mut value = HeaderValue::try_from(value).map_err(|_| "a header's value is none")?;
        value.set_sensitive(name == AUTHORIZATION || SECRET.contains(&name.as_str()));
        translated.headers.append(name, value);
    }
    let body = request.body().bytes().ok_or("its body is a stream")?;
    translated.body = body.to_vec().into();
    Ok(translated)
}

/// The host's error as one of the SDK, which decides by its kind whether it tries again.
fn failed(error: TransportError) -> ConnectorError {
    match error {
        TransportError::Timeout { .. } => ConnectorError::timeout(error.into()),
        TransportError::Connect { .. } | TransportError::Broken { .. } => ConnectorError::io(error.into()),
        _ => ConnectorError::user(error.into()),
    }
}
