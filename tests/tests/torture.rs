//! Nothing that was accepted is lost, whatever dies. `cargo xtask torture` does the same for long.

use regent_tests::torture::{Installation, Plan, QueueKind, run};

async fn loses_nothing(plan: &Plan) {
    let (installation, _plugins) = Installation::built();
    let report = run(plan, &installation).await;
    println!("{report}");
    report.expect_clean();
    assert!(report.kills >= plan.kills && report.kills_at_work > 0 && report.refused > 0, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_killed_again_and_again_loses_nothing() {
    loses_nothing(&Plan::short(QueueKind::Embedded, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_on_one_server_lose_nothing_whichever_is_killed() {
    loses_nothing(&Plan::short(QueueKind::Jetstream, 2)).await;
}
