//! An agent that dies between two durable writes, at each place where it can, loses nothing.

use futures_util::{StreamExt as _, stream};
use regent_tests::torture::{Crash, Installation, QueueKind, crash_at, crash_points};

/// Points that are tried at once: most of the time each waits for something to be tried again.
const AT_ONCE: usize = 5;

async fn each_crash_point_is_survived(queue: QueueKind) {
    let (installation, _plugins) = Installation::built();
    let points = crash_points(&installation, queue).await;
    assert!(points.len() > 1, "{points:?}");
    let crashes: Vec<Crash> = stream::iter(&points)
        .map(|point| crash_at(point, queue, &installation))
        .buffered(AT_ONCE)
        .collect()
        .await;
    for crash in &crashes {
        println!("{}{}", if crash.hit { "" } else { "NOT HIT: " }, crash.report);
    }
    crashes.iter().for_each(Crash::expect_survived);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_queue_survives_each_crash_point() {
    each_crash_point_is_survived(QueueKind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_at_a_nats_server_survives_each_crash_point() {
    each_crash_point_is_survived(QueueKind::Jetstream).await;
}
