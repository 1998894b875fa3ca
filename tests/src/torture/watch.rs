//! Starts an agent again whenever it dies at its crash point.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::crash_points::VARIABLE;
use super::replica::Replica;

/// How often it is looked whether the agent lives.
const POLL: Duration = Duration::from_millis(20);
const SIGKILL: i32 = 9;

/// A watched agent.
#[derive(Debug)]
pub(super) struct Watch {
    watched: Arc<Mutex<Watched>>,
    task: JoinSet<()>,
}

#[derive(Debug)]
struct Watched {
    replica: Replica,
    point: String,
    hit: bool,
}

impl Watch {
    /// Starts the agent with its crash point, and the watch.
    pub(super) fn start(replica: Replica, point: &str) -> Self {
        let mut watched = Watched { replica, point: point.to_owned(), hit: false };
        watched.start();
        let watched = Arc::new(Mutex::new(watched));
        let shared = Arc::clone(&watched);
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                sleep(POLL).await;
                let mut watched = shared.lock().await;
                if let Some(status) = watched.replica.ended() {
                    watched.died(status);
                    watched.start();
                }
            }
        });
        Self { watched, task }
    }

    /// Kills the agent, and starts it again.
    pub(super) async fn kill(&self) {
        let mut watched = self.watched.lock().await;
        match watched.replica.ended() {
            Some(status) => watched.died(status),
            None => watched.replica.kill(),
        }
        watched.start();
    }

    /// Tells the agent to stop, and starts it again.
    pub(super) async fn terminate(&self) {
        let mut watched = self.watched.lock().await;
        let status = watched.replica.terminate().await;
        if !status.success() {
            watched.died(status);
        }
        watched.start();
    }

    /// The agent, running, and whether it came to its point.
    pub(super) async fn end(mut self) -> (Replica, bool) {
        self.task.shutdown().await;
        let watched = Arc::into_inner(self.watched).expect("the task is gone").into_inner();
        (watched.replica, watched.hit)
    }
}

impl Watched {
    /// Once it was there, it is not led there again.
    fn start(&mut self) {
        let point = [(VARIABLE, self.point.as_str())];
        self.replica.start(if self.hit { &[] } else { &point });
    }

    fn died(&mut self, status: ExitStatus) {
        assert!(
            status.signal() == Some(SIGKILL) && !self.hit,
            "the agent ended with {status}, and not at {}:\n{}",
            self.point,
            self.replica.output()
        );
        self.hit = true;
    }
}
