//! What the sweeper does at a cluster that loses a server.

use super::*;
use crate::nats::test_server::cluster::Cluster;

async fn agent(cluster: &Cluster, config: &JetStreamConfig) -> JetStreamQueue {
    once_led(async || {
        let nats = Nats::connect(&cluster.settings("t")).await.map_err(unwritable)?;
        JetStreamQueue::open(&nats, config.clone()).await
    })
    .await
}

/// Does something once the servers have agreed who leads.
async fn once_led<T>(what: impl AsyncFn() -> Result<T, QueueError>) -> T {
    let led = async {
        loop {
            match what().await {
                Err(QueueError::Unwritable { .. }) => tokio::task::yield_now().await,
                done => break done.unwrap(),
            }
        }
    };
    timeout(PATIENCE * 3, led).await.expect("the servers agree in time")
}

/// Waits until an agent has been told as much.
async fn told(queue: &JetStreamQueue, is_so: impl Fn(&Mirror) -> bool) {
    let mut changes = queue.shared.mirror.changes();
    timeout(PATIENCE * 3, changes.wait_for(|_| is_so(&queue.shared.mirror))).await.unwrap().unwrap();
}

async fn n_messages(queue: &JetStreamQueue, stream: &Stream) -> u64 {
    let refused = |error| unwritable(queue.shared.nats.refused("a stream".to_owned(), &error));
    once_led(async || stream.get_info().await.map_err(refused)).await.state.messages
}

/// Whether all servers have all records.
async fn is_whole(queue: &JetStreamQueue) -> bool {
    let told = queue.shared.ledger.operations().stream.get_info().await;
    let replicas = told.ok().and_then(|info| info.cluster).map(|cluster| cluster.replicas);
    replicas.is_some_and(|replicas| replicas.iter().all(|one| one.current && !one.offline))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_swept_also_with_a_server_lost() {
    let mut cluster = Cluster::start().await;
    let retention = Retention { done_for: Duration::from_hours(1), n_done: 2, n_dead_letters: 1 };
    let config = JetStreamConfig { retention, ..JetStreamConfig::new(SealKeys::generate(), CAPACITY) };
    let (one, two) = (agent(&cluster, &config).await, agent(&cluster, &config).await);
    let mut ids = Vec::new();
    for number in 0..6 {
        let request = number.to_string();
        ids.push(once_led(async || one.accept(scan_of_request("ada", &request)).await).await.id);
        let run = once_led(async || one.lease(Work::Run).await).await.unwrap();
        once_led(async || one.record(&run, outcome()).await).await;
        let delivery = once_led(async || two.lease(Work::Deliver).await).await.unwrap();
        let step = || if number % 2 == 0 { Step::Finish } else { Step::DeadLetter(problem()) };
        once_led(async || two.record(&delivery, step()).await).await;
    }
    let waiting = once_led(async || two.accept(scan("bob")).await).await.id;
    told(&one, |mirror| mirror.counts().open() == 1 && mirror.counts().dead_lettered == 3).await;
    // Its sign and a consumer are lost, and then the server that leads the operations.
    one.shared.jobs.purge().await.unwrap();
    let lane = one.shared.ledger.get(waiting).await.unwrap().unwrap().entry.lane().unwrap();
    one.shared.jobs.delete_consumer(&lane.consumer()).await.unwrap();
    let info = one.shared.ledger.operations().stream.get_info().await.unwrap();
    let leader = info.cluster.and_then(|cluster| cluster.leader).unwrap();
    let leader = ["server1", "server2", "server3"].iter().position(|name| *name == leader).unwrap();
    cluster.servers[leader].kill();

    once_led(async || one.shared.sweep(Duration::ZERO, true).await).await;
    let left = |views: Vec<OperationView>| views.into_iter().map(|view| view.id).collect::<Vec<_>>();
    let kept = [ids[2], ids[4], ids[5], waiting];
    assert_eq!(left(once_led(async || one.list().await).await), kept);
    told(&two, |mirror| mirror.ids(false) == kept).await;
    assert_eq!(left(once_led(async || two.list().await).await), kept);
    assert_eq!(n_messages(&one, one.shared.bodies.stream()).await, 2, "of the dead letter");
    assert_eq!(once_led(async || two.lease(Work::Run).await).await.unwrap().id, waiting);

    // The marks of those that were forgotten go when everyone has been told.
    for id in one.shared.mirror.take_forgotten(Duration::ZERO) {
        once_led(async || one.shared.ledger.remove_mark(id).await).await;
    }
    assert_eq!(n_messages(&one, &one.shared.ledger.operations().stream).await, 4);
    assert!(!once_led(async || two.accept(scan_of_request("ada", "0")).await).await.is_repeat);
    assert!(once_led(async || two.accept(scan_of_request("ada", "2")).await).await.is_repeat);

    // The server that comes back has what the others have, also when it is needed.
    cluster.servers[leader].resume().await;
    timeout(PATIENCE * 3, async { while !is_whole(&one).await {} }).await.unwrap();
    cluster.servers[(leader + 1) % 3].kill();
    let third = agent(&cluster, &config).await;
    told(&third, |mirror| mirror.ids(false).len() == 5).await;
    assert_eq!(once_led(async || third.list().await).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_agent_of_a_cluster_sweeps() {
    let cluster = Cluster::start().await;
    let mut claims = Vec::new();
    for _ in 0..3 {
        let nats = Nats::connect(&cluster.settings("t")).await.unwrap();
        claims.push(nats.patiently(async || Claims::open(&nats).await).await.unwrap());
    }
    let claimed = claims.iter().map(|claims| claims.claim("sweeper"));
    let claimed = futures_util::future::join_all(claimed).await;
    assert_eq!(claimed.iter().filter(|claim| claim.as_ref().unwrap().is_some()).count(), 1, "{claimed:?}");
}
