use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use tokio::time::{pause, resume};

use super::*;

const HOUR: Duration = Duration::from_hours(1);
const DEADLINE: Duration = Duration::from_secs(1);

/// Makes the thread stuck until what is returned is dropped.
async fn block(bulkhead: &Bulkhead, lane: &Arc<Lane>) -> SyncSender<()> {
    let (entered, has_entered) = oneshot::channel();
    let (release, released) = sync_channel::<()>(0);
    let stuck = bulkhead.run(lane, HOUR, async move {
        entered.send(()).unwrap();
        let _ = released.recv();
    });
    tokio::select! {
        _ = stuck => panic!("it can't return"),
        entered = has_entered => entered.unwrap(),
    }
    release
}

#[tokio::test]
async fn a_stuck_driver_costs_its_callers_their_deadline_and_others_nothing() {
    let (stuck, other) = (Bulkhead::new("stuck"), Bulkhead::new("other"));
    let lane = stuck.lane().unwrap();
    let _release = block(&stuck, &lane).await;
    pause();
    let calls = (0..4).map(|_| stuck.run(&lane, DEADLINE, async {}));
    for outcome in futures_util::future::join_all(calls).await {
        assert!(matches!(outcome, Err(Error::TimedOut { after: DEADLINE, .. })), "{outcome:?}");
    }
    resume();
    assert_eq!(other.run(&other.lane().unwrap(), HOUR, async { 7 }).await.unwrap(), 7);
}

#[tokio::test]
async fn a_stuck_thread_is_replaced_a_few_times_and_then_the_driver_is_out_of_use() {
    let bulkhead = Bulkhead::new("stuck");
    let mut releases = Vec::new();
    for replaced in 0..=MAX_REPLACED {
        let lane = bulkhead.lane().unwrap();
        assert_eq!(bulkhead.run(&lane, HOUR, async move { replaced }).await.unwrap(), replaced);
        releases.push(block(&bulkhead, &lane).await);
        pause();
        let mut outcomes = Vec::new();
        for _ in 0..3 {
            outcomes.push(bulkhead.run(&lane, DEADLINE, async {}).await.unwrap_err());
        }
        resume();
        assert!(matches!(outcomes.first(), Some(Error::TimedOut { .. })), "{outcomes:?}");
        match outcomes.last() {
            Some(Error::Wedged { .. }) => assert!(replaced < MAX_REPLACED),
            Some(Error::Quarantined { .. }) => assert_eq!(replaced, MAX_REPLACED),
            other => panic!("{other:?}"),
        }
        assert!(lane.is_given_up());
    }
    assert!(matches!(bulkhead.lane(), Err(Error::Quarantined { .. })));
    assert_eq!(bulkhead.quarantined().as_deref(), Some("it hung too often"));
}

#[tokio::test]
async fn a_call_that_timed_out_in_the_queue_never_starts() {
    let bulkhead = Bulkhead::new("slow");
    let lane = bulkhead.lane().unwrap();
    let release = block(&bulkhead, &lane).await;
    let started = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&started);
    pause();
    let outcome = bulkhead.run(&lane, DEADLINE, async move { seen.store(true, Ordering::SeqCst) }).await;
    assert!(matches!(outcome, Err(Error::TimedOut { .. })));
    resume();
    drop(release);
    // The next call is behind the first in the queue, and on a thread that moves again.
    bulkhead.run(&lane, HOUR, async {}).await.unwrap();
    assert!(!started.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_caller_that_leaves_drops_the_drivers_future_on_the_drivers_thread() {
    struct Tell(Option<oneshot::Sender<Option<String>>>);
    impl Drop for Tell {
        fn drop(&mut self) {
            let name = thread::current().name().map(str::to_owned);
            self.0.take().unwrap().send(name).unwrap();
        }
    }
    let bulkhead = Bulkhead::new("polite");
    let lane = bulkhead.lane().unwrap();
    let (dropped, was_dropped) = oneshot::channel();
    let (entered, has_entered) = oneshot::channel();
    let call = bulkhead.run(&lane, HOUR, async move {
        let _tell = Tell(Some(dropped));
        entered.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    tokio::select! {
        _ = call => panic!("it never returns"),
        entered = has_entered => entered.unwrap(),
    }
    assert_eq!(was_dropped.await.unwrap().as_deref(), Some("driver-polite"));
}

#[tokio::test]
async fn a_panic_is_an_error_of_its_call() {
    let bulkhead = Bulkhead::new("clumsy");
    let lane = bulkhead.lane().unwrap();
    let outcome = bulkhead.run(&lane, HOUR, async { panic!("on purpose") }).await;
    let outcome: Result<(), Error> = outcome;
    match outcome {
        Err(Error::Call { error, .. }) => assert_eq!(error.code(), PANICKED),
        other => panic!("{other:?}"),
    }
    assert_eq!(bulkhead.run(&lane, HOUR, async { 1 }).await.unwrap(), 1);
}

#[tokio::test]
async fn calls_beyond_the_queue_are_refused_at_once() {
    let bulkhead = Bulkhead::new("crowded");
    let lane = bulkhead.lane().unwrap();
    let _release = block(&bulkhead, &lane).await;
    for _ in 0..QUEUE {
        let call = bulkhead.run(&lane, HOUR, async {});
        tokio::pin!(call);
        assert!(futures_util::poll!(&mut call).is_pending()); // and dropped: its job stays in the queue
        tokio::task::yield_now().await; // a task may not send for ever
    }
    let outcome = bulkhead.run(&lane, HOUR, async {}).await;
    assert!(matches!(outcome, Err(Error::Busy { .. })), "{outcome:?}");
}

#[tokio::test]
async fn what_a_stuck_thread_has_no_room_for_is_not_dropped_on_the_hosts() {
    struct Dropped(SyncSender<thread::ThreadId>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().id());
        }
    }
    let bulkhead = Bulkhead::new("stuck");
    let lane = bulkhead.lane().unwrap();
    let release = block(&bulkhead, &lane).await;
    let (sender, dropped) = sync_channel(2 * QUEUE);
    for _ in 0..2 * QUEUE {
        let object = Dropped(sender.clone());
        lane.post(async move { drop(object) });
    }
    assert!(dropped.try_recv().is_err(), "something was dropped while the driver's thread was stuck");
    drop(release);
    for _ in 0..QUEUE {
        assert_ne!(dropped.recv().unwrap(), thread::current().id());
    }
}
