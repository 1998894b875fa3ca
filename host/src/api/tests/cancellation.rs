//! A caller that hangs up ends what was done for it, down to the connection to the registry.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::breaker::BreakerMetrics;
use crate::drivers::fixtures::gate;
use crate::http::InsecureRegistries;
use crate::server::Server;

/// Far more than it takes: what fails here would wait for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// The agent on a port of its own, with a driver that asks the registry that the connection names.
async fn serve(agent: &mut Agent, tasks: &mut JoinSet<()>) -> std::net::SocketAddr {
    let mut config = DriversConfig::new(Vec::new());
    config.insecure = InsecureRegistries::all();
    let http = HttpClient::new(&HttpConfig::default()).unwrap();
    agent.context.drivers = Drivers::with_native(config, http, &[gate::DRIVER]);
    let server = Server::bind(Some(Ipv4Addr::LOCALHOST.into()), 0, None).await.unwrap();
    let address = server.address().unwrap();
    let service = TowerToHyperService::new(warp::service(routes(agent.context.clone())));
    tasks.spawn(server.run(service, agent.context.shutdown.clone(), PATIENCE));
    address
}

#[tokio::test]
async fn a_caller_that_hangs_up_ends_the_request_to_the_registry() {
    let (mut agent, mut tasks) = (Agent::new().await, JoinSet::new());
    let address = serve(&mut agent, &mut tasks).await;
    let registry = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", registry.local_addr().unwrap());
    let connection = BASE64_STANDARD.encode(json!({"type": "gate", "registryBase": base}).to_string());
    // Asked by the driver, and by the host with what the driver authorized.
    for (target, expected) in [
        ("/systemcheck", "GET /v2/ "),
        ("/get-state-identifier?image=team/app:1", "HEAD /v2/team/app/manifests/1 "),
        ("/image-metadata/team/app:1", "GET /v2/team/app/manifests/1 "),
    ] {
        let mut caller = TcpStream::connect(address).await.unwrap();
        let request =
            format!("GET {target} HTTP/1.1\r\nhost: agent\r\nx-cr-credentials: {connection}\r\n\r\n");
        caller.write_all(request.as_bytes()).await.unwrap();
        let (mut asked, _) = timeout(PATIENCE, registry.accept()).await.unwrap().unwrap();
        let mut head = vec![0; expected.len()];
        timeout(PATIENCE, asked.read_exact(&mut head)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8(head).unwrap(), expected);

        // It never answers, and the caller has enough.
        drop(caller);
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, asked.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{target}: the registry is still asked");
    }
    assert_eq!(agent.context.breakers.metrics(), BreakerMetrics::default());
    tasks.shutdown().await;
}
