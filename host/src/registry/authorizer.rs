//! The driver's word on who may read what, for the protocol code.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use regent_distribution::{Ask, Authorized, Authorizer, Endpoint, Error as ProtocolError, Proof, Scope};
use regent_oci::RepositoryName;
use regent_plugin_api::{Access, Authorization};
use regent_transport::BoxFuture;

use crate::drivers::Session;

/// An authorization is renewed this long before it expires, so that it does not expire under way.
const MARGIN: Duration = Duration::from_secs(30);

/// Authorizes requests for one repository, at one endpoint, by asking the driver. What it says is kept until it expires
/// or the registry refuses it.
pub(super) struct DriverAuthorizer {
    session: Arc<Session>,
    /// The repository by the name that the driver listed.
    repository: RepositoryName,
    endpoint: Endpoint,
    // std, since it is held for a few instructions and never over an await.
    kept: Mutex<Kept>,
    /// Requests at the side wait for one renewal instead of asking for their own.
    renewal: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Kept {
    headers: HeaderMap,
    expires: Option<SystemTime>,
}

impl DriverAuthorizer {
    /// Asks the driver for the first time: its answer says where the repository is.
    pub(super) async fn first(
        session: Arc<Session>,
        repository: &RepositoryName,
    ) -> Result<(Self, RepositoryName), super::Error> {
        let authorization = ask(&session, repository, false).await?;
        let endpoint = Endpoint::new(authorization.endpoint.clone())
            .map_err(|error| super::Error::registry(session.driver().name(), error))?;
        let there = authorization.repository.clone();
        let authorizer = Self {
            repository: repository.clone(),
            endpoint,
            kept: Mutex::new(Kept::from(authorization)),
            renewal: tokio::sync::Mutex::new(()),
            session,
        };
        Ok((authorizer, there))
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn kept(&self) -> Kept {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn renew(
        &self,
        refused: Option<&HeaderMap>,
        is_renewal: bool,
    ) -> Result<Authorized, ProtocolError> {
        let _turn = self.renewal.lock().await;
        let kept = self.kept();
        let renewed_at_the_side = match refused {
            Some(sent) => *sent != kept.headers,
            None => !is_renewal,
        };
        if renewed_at_the_side && kept.is_fresh() {
            return Ok(kept.authorized());
        }
        let wrapped = |error: crate::drivers::Error| ProtocolError::Authorizer(Arc::new(error));
        let authorization = ask(&self.session, &self.repository, is_renewal).await.map_err(wrapped)?;
        // Headers go to the endpoint that they came with; a session reads from one endpoint.
        if Endpoint::new(authorization.endpoint.clone())? != self.endpoint {
            let reason = "has changed since the session began".to_owned();
            return Err(ProtocolError::Endpoint { reason });
        }
        let fresh = Kept::from(authorization);
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = fresh.clone();
        Ok(fresh.authorized())
    }
}

impl Authorizer for DriverAuthorizer {
    fn authorize<'a>(
        &'a self,
        _: &'a Scope,
        wanted: Ask<'a>,
    ) -> BoxFuture<'a, Result<Authorized, ProtocolError>> {
        Box::pin(async move {
            match wanted {
                Ask::Cached => {
                    let kept = self.kept();
                    if kept.is_fresh() { Ok(kept.authorized()) } else { self.renew(None, false).await }
                }
                Ask::Anew => self.renew(None, true).await,
                Ask::Refused(refusal) => self.renew(Some(&refusal.sent), true).await,
            }
        })
    }
}

async fn ask(
    session: &Session,
    repository: &RepositoryName,
    renew: bool,
) -> Result<Authorization, crate::drivers::Error> {
    let access = Access { repository: repository.clone(), renew };
    session.call(move |driver| driver.authorize(access)).await
}

impl Kept {
    fn is_fresh(&self) -> bool {
        self.expires.is_none_or(|at| at.duration_since(SystemTime::now()).is_ok_and(|left| left > MARGIN))
    }

    fn authorized(&self) -> Authorized {
        // The driver has checked the credentials, as far as its registry lets it: that they do not permit this is the
        // likelier meaning of a second refusal only if a token was issued, which it does not say.
        Authorized { headers: self.headers.clone(), expires: self.expires, proof: Proof::Unproven }
    }
}

impl From<Authorization> for Kept {
    fn from(authorization: Authorization) -> Self {
        let mut headers = HeaderMap::new();
        for (name, mut value) in authorization.headers {
            value.set_sensitive(true); // whatever the driver said: they are there to authorize
            headers.append(name, value);
        }
        Self { headers, expires: authorization.expires }
    }
}
