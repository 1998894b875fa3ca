//! Servers that go away and come back.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_gone_nothing_is_taken_and_nothing_is_lost() {
    let mut site = Site::with_lease(Duration::from_secs(2)).await;
    let queue = site.agent().await;
    let [first, second] = [accept(&queue, scan("ada")).await, accept(&queue, scan("bob")).await];
    let run = lease(&queue, Work::Run).await;
    let waiting = queue.lease(Work::Deliver);
    site.server.kill();
    let refused = queue.accept(scan_of_request("ada", "r")).await.unwrap_err();
    assert!(matches!(refused, QueueError::Unwritable { .. }), "{refused}");
    assert!(queue.counts().await.is_err(), "the agent is not ready");
    let refused = queue.record(&run, outcome()).await.unwrap_err();
    assert!(matches!(refused, QueueError::Unwritable { .. }), "{refused}");
    site.server.resume().await;
    // Whoever has the lease tries again, and whoever waits for work gets it.
    let noted = async {
        loop {
            match queue.record(&run, outcome()).await {
                Err(QueueError::Unwritable { .. }) => {}
                other => break other,
            }
        }
    };
    noted.await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().id, run.id);
    assert_eq!(queue.counts().await.unwrap().open(), 2);
    assert!(!queue.accept(scan_of_request("ada", "r")).await.unwrap().is_repeat);
    let next = lease(&queue, Work::Run).await;
    assert!(next.id != run.id && [first, second].contains(&next.id));
    // Changes are told again, also those of others.
    let other = site.agent().await;
    let id = accept(&other, scan("carol")).await;
    let ended = queue.ended(id);
    let work = async {
        loop {
            let run = lease(&other, Work::Run).await;
            other.record(&run, Step::Outcome(Outcome::Failed(problem()), Vec::new())).await.unwrap();
            if run.id == id {
                break;
            }
        }
    };
    assert_eq!(tokio::join!(ended, work).0.unwrap().state.as_str(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_streams_is_named() {
    let site = Site::new().await;
    let mut settings = site.server.settings("t");
    settings.servers = crate::settings::NatsServers::parse("nats://me:hunter2@127.0.0.1:1").unwrap();
    let error = Nats::connect(&settings).await.unwrap_err().to_string();
    assert!(error.starts_with("no connection to the NATS servers nats://127.0.0.1:1: "), "{error}");
    assert!(!error.contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_found_again_with_all_that_is_in_it() {
    let mut site = Site::new().await;
    let queue = site.agent().await;
    for _ in 0..40 {
        accept(&queue, scan("ada")).await;
    }
    let before = queue.list().await.unwrap();
    queue.stop().await.unwrap();
    site.server.kill();
    site.server.resume().await;
    let queue = site.agent().await;
    assert_eq!(queue.list().await.unwrap(), before);
    for view in before {
        assert_eq!(lease(&queue, Work::Run).await.id, view.id, "in their order");
    }
}
