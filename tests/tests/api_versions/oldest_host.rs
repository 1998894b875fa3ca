//! Each driver of `plugins/` as it is built today, in the oldest host that it claims to run in: the host's side of the
//! frozen plugin API loads it, connects, and
//! lists.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use frozen_1_0_plugin_api as oldest;
use oldest::transport as oldest_transport;
use regent_plugin_api::oci::Digest;
use regent_plugin_api::transport::{Request, TransportError, collect};
use regent_plugin_api::{HostServices, LogLevel};
use regent_tests::all_vendors;
use regent_tests::artifacts::{driver_library, workspace};
use regent_tests::image::{Compression, Flavor, ImageBuilder, debian_layer};
use regent_tests::registry::{Auth, Registry};
use regent_tests::vendor::internet::Internet;
use regent_tests::vendor::scene::{Account, Fields, Scene};

use super::network::Network;

/// The oldest API that is kept.
const OLDEST: &str = "1.0.0";

/// Today's services, as a host of the oldest API has them.
struct Oldest(Arc<dyn HostServices>);

fn older(error: TransportError) -> oldest_transport::TransportError {
    use oldest_transport::TransportError as Old;
    match error {
        TransportError::Refused { host, rule } => Old::Refused { host, rule },
        TransportError::Invalid { reason } => Old::Invalid { reason },
        TransportError::Connect { host, reason } => Old::Connect { host, reason },
        TransportError::Tls { host, reason } => Old::Tls { host, reason },
        TransportError::Timeout { host } => Old::Timeout { host },
        TransportError::TooLarge { host, limit_bytes } => Old::TooLarge { host, limit_bytes },
        other => Old::Broken { host: String::new(), reason: other.to_string() },
    }
}

impl oldest_transport::Transport for Oldest {
    fn send(
        &self,
        request: oldest_transport::Request,
    ) -> oldest_transport::BoxFuture<'_, Result<oldest_transport::Response, oldest_transport::TransportError>>
    {
        let mut todays = Request::new(request.method, request.url);
        todays.headers = request.headers;
        todays.body = request.body;
        todays.timeout = request.timeout;
        todays.max_body_bytes = request.max_body_bytes;
        Box::pin(async move {
            let response = self.0.send(todays).await.map_err(older)?;
            let body = collect(response.body).await.map_err(older)?;
            Ok(oldest_transport::Response {
                status: response.status,
                headers: response.headers,
                body: oldest_transport::Body::whole(body),
            })
        })
    }

    fn sleep(&self, duration: Duration) -> oldest_transport::BoxFuture<'_, ()> {
        self.0.sleep(duration)
    }

    fn now(&self) -> SystemTime {
        self.0.now()
    }

    fn jitter(&self) -> f64 {
        self.0.jitter()
    }
}

impl oldest::HostServices for Oldest {
    fn log(&self, level: oldest::LogLevel, message: &str) {
        self.0.log(LogLevel::from_number(level.number()), message);
    }

    fn env(&self, name: &str) -> Option<String> {
        self.0.env(name)
    }
}

/// Loads a driver's library with the oldest host and makes a session of these fields.
fn connect(
    driver: &str,
    registry_type: &str,
    fields: &[(&str, String)],
    plain_http: bool,
    services: Arc<dyn HostServices>,
) -> Box<dyn oldest::DynDriver> {
    let path = driver_library(driver);
    let file = oldest::load::LibraryFile::from_bytes(&path, std::fs::read(&path).unwrap());
    let file = file.unwrap_or_else(|refusal| panic!("{driver}: {refusal}"));
    assert_eq!(file.description().requires_api.to_string(), OLDEST, "{driver} claims another oldest host");
    let library = oldest::load::load(&file).unwrap_or_else(|refusal| panic!("{driver}: {refusal}"));
    let values = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), oldest::secrecy::SecretString::from(value.as_str())));
    let settings = oldest::Settings::new(registry_type, values, plain_http);
    let session = library.connect(&settings, Arc::new(Oldest(services)));
    Box::new(session.unwrap_or_else(|error| panic!("{driver}: {error}")))
}

/// All repositories, page by page.
async fn listed(driver: &dyn oldest::DynDriver) -> oldest::Result<Vec<String>> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = driver.repositories(oldest::PageRequest { size: 2, after }).await?;
        all.extend(page.items.iter().map(ToString::to_string));
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

async fn lists_its_vendor<S: Scene>() {
    let internet = Internet::new();
    let scene = S::open(&internet);
    scene.store(|store| {
        for number in 0..5 {
            store.tag(&S::repository(number), "1.0", &format!("artifact {number}"));
        }
    });
    let services = |fields: &Fields| {
        let variable =
            |(name, value): &(&str, String)| Some((name.strip_prefix("env:")?.to_owned(), value.clone()));
        let variables: Vec<_> = fields.iter().filter_map(variable).collect();
        internet.services(&S::driver().description(), &scene.named_hosts(), &variables)
    };
    let session = |account: Account| {
        let fields = scene.connection(account).unwrap();
        let services = services(&fields);
        let fields: Vec<_> = fields.into_iter().filter(|(name, _)| !name.starts_with("env:")).collect();
        connect(S::DRIVER, S::TYPES[0], &fields, false, services)
    };
    let mut found = listed(&*session(Account::Full)).await.unwrap();
    found.sort();
    let mut expected: Vec<_> = (0..5).map(S::repository).collect();
    expected.sort();
    assert_eq!(found, expected);

    // An error keeps its class, which is what the host acts on.
    let error = listed(&*session(Account::Unknown)).await.unwrap_err();
    let told = (error.class(), error.code());
    assert_eq!(told, (oldest_transport::Class::Authentication, "credentials_rejected"), "{error}");
}

macro_rules! tests {
    ($($name:ident: $scene:ty),*) => {
        $(
            #[tokio::test]
            async fn $name() {
                lists_its_vendor::<$scene>().await;
            }
        )*

        #[test]
        fn no_driver_is_left_out() {
            let folders = std::fs::read_dir(workspace().join("plugins")).unwrap();
            let all: BTreeSet<_> = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            let tried = [$(<$scene as Scene>::DRIVER,)* "oci", "local"];
            assert_eq!(all, tried.map(str::to_owned).into());
        }
    };
}

all_vendors!(tests);

#[tokio::test(flavor = "multi_thread")]
async fn oci_lists_a_real_registry() {
    let registry = Registry::start(Auth::None).await;
    let image = ImageBuilder::new(Flavor::Oci).layer(debian_layer(), Compression::Gzip).build();
    for repository in ["team/app", "team/tool", "web"] {
        image.push(&registry.authority(), repository, "1", None).await;
    }
    let fields = [("registryBase", registry.authority())];
    let session = connect("oci", "oci-cr", &fields, true, Arc::new(Network::default()));
    assert_eq!(listed(&*session).await.unwrap(), ["team/app", "team/tool", "web"]);
    let repository = "team/app".parse().unwrap();
    let page = session.tags(&repository, oldest::PageRequest::first()).await.unwrap();
    assert_eq!(page.items.iter().map(ToString::to_string).collect::<Vec<_>>(), ["1"]);
    let access = oldest::Access { repository, renew: false };
    assert_eq!(
        session.authorize(access).await.unwrap().endpoint.as_str(),
        format!("http://{}/", registry.authority())
    );
}

#[tokio::test]
async fn local_serves_an_image_layout() {
    let layout = tempfile::tempdir().unwrap();
    let image = ImageBuilder::new(Flavor::Oci).layer(debian_layer(), Compression::Gzip).build();
    image.write_layout(layout.path(), "1.0");
    let fields = [("registryBase", layout.path().to_str().unwrap().to_owned())];
    let session = connect("local", "oci-layout", &fields, false, Arc::new(Network::default()));
    let repositories = listed(&*session).await.unwrap();
    let repository = repositories[0].parse().unwrap();
    let manifest = session.manifest(&repository, &"1.0".parse().unwrap()).await.unwrap();
    assert_eq!(Digest::sha256(&manifest.bytes), image.digest());
}
