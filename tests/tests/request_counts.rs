//! Listing costs as many requests as `docs/registries.md` says.

use regent_tests::all_vendors;
use regent_tests::artifacts::workspace;
use regent_tests::vendor::scene::Scene;
use regent_tests::vendor::suite::{self, Requests};

/// The row of a driver in the table, up to the columns that no one counts.
fn row(driver: &str, requests: &Requests) -> String {
    let details = requests.details.map_or_else(|| "by HEAD".to_owned(), |n| n.to_string());
    format!("| `{driver}` | {} | {} | {details} |", requests.repositories, requests.tags)
}

async fn check<S: Scene>() {
    let table = std::fs::read_to_string(workspace().join("docs/registries.md")).unwrap();
    let expected = row(S::DRIVER, &suite::requests::<S>().await);
    assert!(
        table.lines().any(|line| line.starts_with(&expected)),
        "docs/registries.md has no row\n{expected}"
    );
}

macro_rules! tests {
    ($($name:ident: $scene:ty),*) => { $(
        #[tokio::test]
        async fn $name() {
            check::<$scene>().await;
        }
    )* };
}

all_vendors!(tests);
