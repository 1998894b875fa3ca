//! What is done to the agents and their servers, and when.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::time::{sleep, timeout};

use super::backend::Backend;
use super::progress::Progress;
use super::scene::Scene;

/// The longest that a moment is waited for.
const LONGEST: Duration = Duration::from_millis(1500);
/// The longest that something stays dead or cut off.
const LONGEST_AWAY: Duration = Duration::from_millis(2500);

/// When to strike.
#[derive(Debug, Clone, Copy)]
pub(super) enum Moment {
    /// After so many more callbacks.
    Callbacks(usize),
    /// After so many more requests were accepted.
    Accepted(usize),
    /// After this time.
    Time(Duration),
}

impl Moment {
    /// One at random.
    pub(super) fn choose(random: &mut StdRng) -> Self {
        match random.random_range(0..3) {
            0 => Self::Callbacks(random.random_range(1..=6)),
            1 => Self::Accepted(random.random_range(1..=3)),
            _ => Self::Time(random.random_range(Duration::ZERO..LONGEST)),
        }
    }

    /// Waits for it.
    pub(super) async fn wait(self, progress: &Progress) {
        let begin = progress.counts();
        let reached = async {
            match self {
                Self::Callbacks(n) => progress.reached(|now| now.callbacks >= begin.callbacks + n).await,
                Self::Accepted(n) => progress.reached(|now| now.accepted >= begin.accepted + n).await,
                Self::Time(time) => sleep(time).await,
            }
        };
        // What has not happened by then will not happen before something else does.
        let _ = timeout(LONGEST, reached).await;
    }
}

/// What to strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strike {
    /// SIGKILL to an agent, which is started again.
    Agent(usize),
    /// The same, and once more before it is ready.
    AgentTwice(usize),
    /// SIGKILL to a node, which is started again after a while.
    Node(usize),
    /// A node can't be reached for a while.
    Unplug(usize),
    /// The nodes can't reach each other for a while.
    Isolate,
}

impl Strike {
    /// One at random of those that there is something to strike for. Where there is a network, one of four cuts it.
    pub(super) fn choose(number: usize, scene: &Scene, random: &mut StdRng) -> Self {
        if let Backend::Cluster(cluster) = &scene.backend
            && number % 4 == 1
        {
            let node = random.random_range(0..cluster.n_nodes());
            return if random.random_bool(0.5) { Self::Unplug(node) } else { Self::Isolate };
        }
        let agent = random.random_range(0..scene.replicas.len());
        match (&scene.backend, random.random_range(0..12)) {
            (_, 0 | 1) => Self::AgentTwice(agent),
            (Backend::Jetstream(_), 2 | 3) => Self::Node(0),
            (Backend::Cluster(cluster), 2..=4) => Self::Node(random.random_range(0..cluster.n_nodes())),
            _ => Self::Agent(agent),
        }
    }

    /// Strikes, and waits until what was struck works again.
    pub(super) async fn happen(self, scene: &mut Scene, random: &mut StdRng) {
        let away = random.random_range(Duration::from_millis(200)..LONGEST_AWAY);
        match self {
            Self::Agent(number) => {
                let agent = &mut scene.replicas[number];
                agent.kill();
                agent.start(&[]);
                agent.ready().await;
            }
            Self::AgentTwice(number) => {
                let agent = &mut scene.replicas[number];
                agent.kill();
                agent.start(&[]);
                sleep(random.random_range(Duration::ZERO..Duration::from_millis(300))).await;
                agent.kill();
                agent.start(&[]);
                agent.ready().await;
            }
            Self::Node(number) => {
                let node = match &mut scene.backend {
                    Backend::Cluster(cluster) => cluster.node(number),
                    Backend::Jetstream(node) => node,
                    Backend::Embedded => unreachable!("it has no node"),
                };
                node.kill();
                sleep(away).await;
                node.start();
                node.ready().await;
            }
            Self::Unplug(_) | Self::Isolate => {
                let Backend::Cluster(cluster) = &mut scene.backend else { unreachable!("it has no network") };
                match self {
                    Self::Unplug(number) => cluster.network().unplug(number),
                    _ => cluster.network().isolate(),
                }
                sleep(away).await;
                cluster.network().heal();
                cluster.ready().await;
            }
        }
    }

    /// How many processes that kills.
    pub(super) fn n_kills(self) -> usize {
        match self {
            Self::Agent(_) | Self::Node(_) => 1,
            Self::AgentTwice(_) => 2,
            Self::Unplug(_) | Self::Isolate => 0,
        }
    }
}
