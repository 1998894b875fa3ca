//! Several agents at one queue.

use super::super::super::Wish;
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_goes_to_one_agent() {
    let site = Site::new().await;
    let agents = [site.agent().await, site.agent().await, site.agent().await];
    let mut accepted = BTreeSet::new();
    for number in 0..60 {
        let user = format!("user {}", number % 7);
        accepted.insert(accept(&agents[number % 3], scan(&user)).await);
    }
    let work = agents.iter().map(|agent| async move {
        let mut leased = Vec::new();
        while let Ok(run) = timeout(Duration::from_secs(2), lease(agent, Work::Run)).await {
            leased.push(run.id);
            agent.record(&run, outcome()).await.unwrap();
        }
        leased
    });
    let leased = futures_util::future::join_all(work).await;
    assert_eq!(leased.iter().map(Vec::len).sum::<usize>(), 60, "none twice");
    assert_eq!(leased.into_iter().flatten().collect::<BTreeSet<_>>(), accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_agent_knows_what_the_others_do() {
    let site = Site::new().await;
    let (one, two) = (site.agent().await, site.agent().await);
    let id = accept(&one, scan_of_request("ada", "r")).await;
    assert!(two.accept(scan_of_request("ada", "r")).await.unwrap().is_repeat);
    let ended = two.ended(id);
    let work = async {
        let run = lease(&two, Work::Run).await;
        one.cancel(id).await.unwrap();
        assert_eq!(two.renew(&run).await, Ok(Wish::Cancel));
        two.record(&run, outcome()).await.unwrap();
        let delivery = lease(&one, Work::Deliver).await;
        assert_eq!(one.body(&delivery, 1).await.unwrap(), "done");
        one.record(&delivery, Step::Finish).await.unwrap();
    };
    let (ended, ()) = tokio::join!(ended, work);
    assert_eq!(ended.unwrap().state.as_str(), "done");
    assert_eq!(one.list().await.unwrap(), two.list().await.unwrap());
    two.forget(id).await.unwrap();
    assert!(matches!(one.operation(id).await, Err(QueueError::Unknown { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_agent_had_goes_to_another_one() {
    let site = Site::with_lease(Duration::from_secs(1)).await;
    let (dead, alive) = (site.agent().await, site.agent().await);
    let id = accept(&dead, scan("ada")).await;
    let run = lease(&dead, Work::Run).await;
    drop(dead);
    let again = lease(&alive, Work::Run).await;
    assert_eq!((again.id, again.fence), (id, run.fence + 1));
    alive.record(&again, outcome()).await.unwrap();
    let delivery = lease(&alive, Work::Deliver).await;
    drop(alive);
    let third = site.agent().await;
    assert_eq!(lease(&third, Work::Deliver).await.id, delivery.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_renewed_stays_with_its_agent() {
    let site = Site::with_lease(Duration::from_secs(3)).await;
    let (one, two) = (site.agent().await, site.agent().await);
    accept(&one, scan("ada")).await;
    let run = lease(&one, Work::Run).await;
    let mut other = two.lease(Work::Run);
    // Three times as long as a lease lasts.
    for _ in 0..18 {
        assert!(timeout(Duration::from_millis(500), &mut other).await.is_err());
        assert_eq!(one.renew(&run).await, Ok(Wish::GoOn));
    }
    // And no longer than it is renewed.
    let newer = other.await.unwrap().unwrap();
    assert_eq!(newer.id, run.id);
    assert!(matches!(one.record(&run, outcome()).await, Err(QueueError::WrongState { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_another_key_leaves_work_to_others_and_says_so() {
    let site = Site::with_lease(Duration::from_secs(1)).await;
    let ours = site.agent().await;
    let other = JetStreamConfig { keys: SealKeys::generate(), ..site.config.clone() };
    let theirs = JetStreamQueue::open(&site.nats().await, other).await.unwrap();
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        ids.insert(accept(&ours, scan("ada")).await);
    }
    let told = async {
        loop {
            match theirs.counts().await {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        }
    };
    let error = tokio::select! {
        error = told => error,
        leased = theirs.lease(Work::Run) => panic!("{leased:?}"),
    };
    assert!(matches!(error, QueueError::Sealed { .. }), "{error}");
    assert!(ours.counts().await.is_ok());
    let mut leased = BTreeSet::new();
    for _ in 0..3 {
        leased.insert(lease(&ours, Work::Run).await.id);
    }
    assert_eq!(leased, ids, "nothing is lost");
    // What it can open itself makes it fit again.
    let own = accept(&theirs, scan("bob")).await;
    assert_eq!(lease(&theirs, Work::Run).await.id, own);
    assert!(theirs.counts().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_of_different_names_have_nothing_in_common() {
    let site = Site::new().await;
    let ours = site.agent().await;
    let nats = Nats::connect(&site.server.settings("other")).await.unwrap();
    let theirs = JetStreamQueue::open(&nats, site.config.clone()).await.unwrap();
    accept(&ours, scan_of_request("ada", "r")).await;
    assert!(!theirs.accept(scan_of_request("ada", "r")).await.unwrap().is_repeat);
    assert_eq!(theirs.list().await.unwrap().len(), 1);
    assert_eq!(ours.describe(), format!("NATS at {}, under the prefix t", site.server.url()));
}
