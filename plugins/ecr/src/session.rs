//! One connection's way to AWS: the agent's identity, the role's session, the registry's token. Each is made when it is
//! needed, kept, and renewed before it ends; together they live as long as the connection's session in the host.

use std::time::{Duration, SystemTime};

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ecr::config::{IdentityCache, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use regent_distribution::Endpoint;
use regent_plugin_api::http::HeaderValue;
use regent_plugin_api::transport::Class;
use regent_plugin_api::{Error, Host, LogLevel, Result};
use tokio::sync::Mutex;

use crate::fault::{self, Asked};
use crate::place::{Place, Role};
use crate::sdk;

/// "Valid for 12 hours", says the API of a token.
const TOKEN_LIFE: Duration = Duration::from_hours(12);
/// A token is renewed this long before the host would ask for another one.
const TOKEN_MARGIN: Duration = Duration::from_mins(1);
/// A role's session is renewed this long before it ends, so that no listing outlives it.
const SESSION_MARGIN: Duration = Duration::from_mins(5);
/// While AWS fails, a token that still works is kept for so long before the next try.
const GRACE: Duration = Duration::from_mins(1);
/// How the role's sessions are called in the account's logs.
const SESSION_NAME: &str = "regent";

/// AWS, as one connection sees it.
pub(crate) struct Aws {
    pub(crate) place: Place,
    host: Host,
    /// Variables that the driver declares.
    variables: Vec<String>,
    // Held over awaits, such that calls side by side wait for one renewal. The token's is taken before the signer's.
    signer: Mutex<Kept>,
    token: Mutex<Option<Token>>,
}

#[derive(Default)]
struct Kept {
    configuration: Option<SdkConfig>,
    signer: Option<Signer>,
    made: u64,
}

/// A client of ECR with credentials that are good for a while.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) ecr: aws_sdk_ecr::Client,
    /// Where the agent's identity comes from, in words.
    pub(crate) source: &'static str,
    until: Option<SystemTime>,
    number: u64,
}

/// The registry's token.
#[derive(Clone)]
pub(crate) struct Token {
    /// `Basic …`, sensitive.
    pub(crate) header: HeaderValue,
    /// Where it is good.
    pub(crate) endpoint: Endpoint,
    /// When another one is to be had: at half of its life, as AWS's own helper does, or with the role's session.
    pub(crate) fresh_until: SystemTime,
    /// When it stops to work.
    valid_until: SystemTime,
}

impl Aws {
    pub(crate) fn new(host: Host, place: Place, variables: Vec<String>) -> Self {
        Self { place, host, variables, signer: Mutex::default(), token: Mutex::default() }
    }

    /// One call of ECR. Once more with new credentials if AWS says that these have run out.
    pub(crate) async fn ask<T, E, F, Fut>(&self, action: &'static str, what: String, call: F) -> Result<T>
    where
        F: Fn(aws_sdk_ecr::Client) -> Fut,
        Fut: Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let asked = Asked { action, what, caller: self.place.caller() };
        let signer = self.signer(None).await?;
        match call(signer.ecr).await {
            Err(error) if fault::is_expiry(&error) => {
                let signer = self.signer(Some(signer.number)).await?;
                call(signer.ecr).await.map_err(|error| fault::of(&error, &asked))
            }
            other => other.map_err(|error| fault::of(&error, &asked)),
        }
    }

    /// The client at hand, unless it is the refused one or is about to run out.
    pub(crate) async fn signer(&self, refused: Option<u64>) -> Result<Signer> {
        let mut kept = self.signer.lock().await;
        if let Some(signer) = &kept.signer
            && refused != Some(signer.number)
            && signer.until.is_none_or(|until| self.host.now() + SESSION_MARGIN < until)
        {
            return Ok(signer.clone());
        }
        let configuration = match &kept.configuration {
            Some(configuration) => configuration.clone(),
            None => sdk::configuration(&self.host, &self.variables, &self.place.region).await,
        };
        kept.configuration = Some(configuration.clone());
        let own = identity(&configuration).await.map_err(|error| fault::of_identity(&error))?;
        let source = source(&own);
        let credentials = match &self.place.role {
            Some(role) => self.assume(role, &configuration, own).await?,
            None => own,
        };
        kept.made += 1;
        let until = credentials.expiry();
        let configuration = self.signing(&configuration, credentials);
        let signer =
            Signer { ecr: aws_sdk_ecr::Client::new(&configuration), source, until, number: kept.made };
        kept.signer = Some(signer.clone());
        Ok(signer)
    }

    async fn assume(&self, role: &Role, configuration: &SdkConfig, own: Credentials) -> Result<Credentials> {
        let sts = aws_sdk_sts::Client::new(&self.signing(configuration, own));
        let call = sts
            .assume_role()
            .role_arn(&role.arn)
            .role_session_name(SESSION_NAME)
            .set_external_id(role.external_id.clone());
        let has_id = role.external_id.is_some();
        let answer = call.send().await;
        let answer = answer.map_err(|error| fault::of_role(&error, &role.arn, has_id, &self.place.region))?;
        let incomplete = || Error::bad_answer("sts gave an answer without credentials");
        let session = answer.credentials.ok_or_else(incomplete)?;
        let expiry = SystemTime::try_from(session.expiration).map_err(|_| incomplete())?;
        Ok(Credentials::builder()
            .access_key_id(session.access_key_id)
            .secret_access_key(session.secret_access_key)
            .session_token(session.session_token)
            .expiry(expiry)
            .provider_name("AssumeRole")
            .build())
    }

    /// The configuration for calls in the registry's region with these credentials.
    fn signing(&self, configuration: &SdkConfig, credentials: Credentials) -> SdkConfig {
        configuration
            .to_builder()
            .region(Region::new(self.place.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .identity_cache(IdentityCache::no_cache())
            .build()
    }

    /// The token at hand, unless the registry has `refused` it or it is about to be due.
    pub(crate) async fn token(&self, refused: bool) -> Result<Token> {
        let mut kept = self.token.lock().await;
        let now = self.host.now();
        if let Some(token) = kept.as_ref().filter(|token| !refused && now + TOKEN_MARGIN < token.fresh_until)
        {
            return Ok(token.clone());
        }
        let result = self.fresh_token(refused).await;
        let token = match (result, kept.take()) {
            (Ok(token), _) => token,
            // Half a life is left for AWS to come back.
            (Err(error), Some(old)) if !refused && is_outage(&error) && now + GRACE < old.valid_until => {
                self.host.log(LogLevel::Warn, format!("the registry's token is not renewed yet: {error}"));
                Token { fresh_until: now + TOKEN_MARGIN + GRACE, ..old }
            }
            (Err(error), old) => {
                *kept = old.filter(|_| !refused);
                return Err(error);
            }
        };
        *kept = Some(token.clone());
        Ok(token)
    }

    async fn fresh_token(&self, refused: bool) -> Result<Token> {
        // Whether a token outlives the session that it was had with is not documented: both are renewed together.
        let number = if refused { self.signer.lock().await.signer.as_ref().map(|s| s.number) } else { None };
        let signer = self.signer(number).await?;
        let what = format!("get a token for the registry of {}", self.place.name());
        let answer = self
            .ask("ecr:GetAuthorizationToken", what, |ecr| async move {
                ecr.get_authorization_token().send().await
            })
            .await?;
        let data = answer.authorization_data().first();
        let text = data.and_then(|data| data.authorization_token());
        let header = text.and_then(|text| HeaderValue::try_from(format!("Basic {text}")).ok());
        let (Some(data), Some(mut header)) = (data, header) else {
            return Err(Error::bad_answer("ecr gave an answer without a token"));
        };
        header.set_sensitive(true);
        let endpoint = self.place.endpoint_by(data.proxy_endpoint())?;
        let now = self.host.now();
        // A time that has passed is no time: what stands in for AWS in tests says so.
        let told = data.expires_at().and_then(|at| SystemTime::try_from(*at).ok());
        let valid_until = told.filter(|at| *at > now).unwrap_or(now + TOKEN_LIFE);
        let half = now + valid_until.duration_since(now).unwrap_or_default() / 2;
        let fresh_until = signer.until.map_or(half, |until| half.min(until));
        Ok(Token { header, endpoint, fresh_until, valid_until })
    }
}

async fn identity(configuration: &SdkConfig) -> std::result::Result<Credentials, CredentialsError> {
    match configuration.credentials_provider() {
        Some(chain) => chain.provide_credentials().await,
        None => Err(CredentialsError::not_loaded_no_source()),
    }
}

/// Which part of the chain gave these credentials.
fn source(credentials: &Credentials) -> &'static str {
    use AwsCredentialFeature as F;
    let features = credentials.get_property::<Vec<F>>().map(Vec::as_slice).unwrap_or_default();
    let name = |feature: &F| match feature {
        F::CredentialsEnvVars => Some("the environment"),
        F::CredentialsEnvVarsStsWebIdToken
        | F::CredentialsStsAssumeRoleWebId
        | F::CredentialsProfileStsWebIdToken => Some("a web identity token"),
        F::CredentialsHttp => Some("the container's credentials service"),
        F::CredentialsImds => Some("the instance's metadata"),
        F::CredentialsProfile | F::CredentialsProfileSourceProfile | F::CredentialsProfileNamedProvider => {
            Some("a profile")
        }
        _ => None,
    };
    features.iter().find_map(name).unwrap_or("the default chain")
}

fn is_outage(error: &Error) -> bool {
    matches!(error.class(), Class::Unavailable | Class::Timeout | Class::Throttled)
}
