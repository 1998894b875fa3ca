//! An agent that dies between two durable writes, at each place where it can, loses nothing.

use futures_util::{StreamExt as _, stream};
use regent_tests::torture::{Crash, Installation, QueueKind, crash_at, crash_points};

/// Lets agents die at each point, so many at once: most of the time each waits for something to be tried again.
async fn survives_all(queue: QueueKind, n_at_once: usize) {
    let (installation, _plugins) = Installation::built();
    let points = crash_points(&installation, queue).await;
    assert!(points.len() > 1, "{points:?}");
    let crashes: Vec<Crash> = stream::iter(&points)
        .map(|point| crash_at(point, queue, &installation))
        .buffered(n_at_once)
        .collect()
        .await;
    for crash in &crashes {
        println!("{}{}", if crash.hit { "" } else { "NOT HIT: " }, crash.report);
    }
    crashes.iter().for_each(Crash::expect_survived);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_queue_survives_each_crash_point() {
    survives_all(QueueKind::Embedded, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_on_jetstream_survives_each_crash_point() {
    // What a dead agent had is its own until its lease runs out.
    survives_all(QueueKind::Jetstream, 14).await;
}
