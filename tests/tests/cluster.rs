//! Three agents on three servers, all of which die now and then, and a network that is cut: nothing is lost.

use regent_tests::torture::{Installation, Plan, QueueKind, run};

#[tokio::test(flavor = "multi_thread")]
async fn three_agents_on_a_cluster_lose_nothing_whatever_dies_or_is_cut() {
    let (installation, _plugins) = Installation::built();
    let plan = Plan { scans: 30, kills: 12, ..Plan::short(QueueKind::Cluster, 3) };
    let report = run(&plan, &installation).await;
    println!("{report}");
    report.expect_clean();
    assert!(report.kills >= plan.kills && report.kills_at_work > 0 && report.cuts > 0, "{report}");
}
