//! The login of `hub.docker.com`, and who it is that logs in.

use regent_distribution::{
    Credentials, Error as ProtocolError, IssuedToken, Issuer, RetryPolicy, Scope, Session, Subject,
};
use regent_plugin_api::http::header::CONTENT_TYPE;
use regent_plugin_api::http::{HeaderValue, Method, StatusCode};
use regent_plugin_api::secrecy::{ExposeSecret, SecretString};
use regent_plugin_api::transport::{BoxFuture, Request, collect};
use regent_plugin_api::{Result, Settings};
use serde::Deserialize;

/// The most of the answer that is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// Whose credentials they are.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// A Docker ID, an organization, or an e-mail address.
    pub(crate) name: String,
    pub(crate) secret: SecretString,
}

impl Account {
    /// The account of a connection; `None` for a visitor.
    pub(crate) fn of(settings: &Settings) -> Result<Option<Self>> {
        let account =
            |(name, secret): (&str, &SecretString)| Self { name: name.to_owned(), secret: secret.clone() };
        Ok(settings.username_and_password()?.map(account))
    }

    /// Whether these are an organization and its access token, by the prefix that Docker gives them.
    pub(crate) fn is_organization(&self) -> bool {
        self.secret.expose_secret().starts_with("dckr_oat_")
    }

    /// What the registry's token service is given.
    pub(crate) fn credentials(&self) -> Credentials {
        Credentials::Basic { username: self.name.clone(), password: self.secret.clone() }
    }
}

/// `POST /v2/auth/token`: a JSON web token for ten minutes, for a password and for both kinds of access token.
pub(crate) struct Login {
    /// To `hub.docker.com`, without an authorization.
    pub(crate) session: Session,
    pub(crate) account: Account,
}

impl Issuer for Login {
    fn issue(&self) -> BoxFuture<'_, std::result::Result<IssuedToken, ProtocolError>> {
        Box::pin(async {
            // Like a GET it changes nothing at the other side.
            let policy = RetryPolicy::default();
            policy.run(self.session.transport(), |_| self.ask()).await
        })
    }
}

impl Login {
    async fn ask(&self) -> std::result::Result<IssuedToken, ProtocolError> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: SecretString,
        }
        let url = self.session.endpoint().below(["v2", "auth", "token"]);
        let json = HeaderValue::from_static("application/json");
        let mut request = Request::new(Method::POST, url).header(CONTENT_TYPE, json);
        let (identifier, secret) = (&self.account.name, self.account.secret.expose_secret());
        let body = serde_json::json!({ "identifier": identifier, "secret": secret });
        request.body = body.to_string().into();
        request.max_body_bytes = MAX_ANSWER_BYTES;
        let response = self.session.fetch(request, &Scope::none(), &Subject::Token).await?;
        let status = response.status;
        // For an identifier or a secret that can't be one.
        if status == StatusCode::BAD_REQUEST {
            let host = self.session.endpoint().host();
            return Err(ProtocolError::CredentialsRejected { host, registry_code: None });
        }
        if status != StatusCode::OK {
            let subject = Subject::Other("the login".to_owned());
            return Err(ProtocolError::UnexpectedStatus { subject, status, registry_code: None });
        }
        let body = collect(response.body).await?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| ProtocolError::AnswerInvalid {
            subject: Subject::Other("the login".to_owned()),
            reason: "it holds no token".to_owned(),
        })?;
        Ok(IssuedToken { secret: answer.access_token, life: None })
    }
}
