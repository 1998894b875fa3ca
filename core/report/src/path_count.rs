//! Which packages too many dependency paths lead to.
//!
//! A path starts at any package, follows dependencies and never visits a package twice; the path of one package
//! counts. There may be exponentially many, but nobody wants to know more than whether there are over
//! [`FREQUENT`]: walking a package's paths backwards from it, each step is one more path, so the walk ends after a
//! hundred steps at most, whatever the graph.

use std::collections::{BTreeMap, HashSet};

/// A package that more paths lead to is too frequent.
pub(crate) const FREQUENT: u32 = 100;

/// A package by its place in the list.
pub(crate) type Place = usize;

/// For each package whether it is too frequent.
///
/// `depends` holds each package's dependencies; one that is there twice counts twice. `listed` says how often a
/// package stands in the database (0: replaced by a later one, nothing leads there).
pub(crate) fn too_frequent(depends: &[Vec<Place>], listed: &[u32]) -> Vec<bool> {
    let dependants = dependants(depends);
    (0..depends.len()).map(|package| paths_to(package, &dependants, listed) > FREQUENT).collect()
}

/// Who depends on each package, and how many times.
fn dependants(depends: &[Vec<Place>]) -> Vec<Vec<(Place, u32)>> {
    let mut dependants = vec![Vec::new(); depends.len()];
    for (package, dependencies) in depends.iter().enumerate() {
        let mut times = BTreeMap::new();
        for &dependency in dependencies {
            *times.entry(dependency).or_insert(0_u32) += 1;
        }
        for (dependency, times) in times {
            if let Some(list) = dependants.get_mut(dependency) {
                list.push((package, times));
            }
        }
    }
    dependants
}

/// The number of paths to `target`, or [`FREQUENT`] and one.
fn paths_to(target: Place, dependants: &[Vec<(Place, u32)>], listed: &[u32]) -> u32 {
    let starts_at = |package: Place| listed.get(package).copied().unwrap_or_default();
    let mut paths = starts_at(target);
    let mut on_path = HashSet::from([target]);
    // Each step: the package, which of its dependants is next, and by how many parallel edges it was reached.
    let mut walk = vec![(target, 0, 1_u32)];
    while let Some((package, next, ways)) = walk.last_mut() {
        let Some(&(dependant, times)) = dependants.get(*package).and_then(|list| list.get(*next)) else {
            on_path.remove(package);
            walk.pop();
            continue;
        };
        *next += 1;
        if on_path.insert(dependant) {
            let ways = ways.saturating_mul(times);
            paths = paths.saturating_add(ways.saturating_mul(starts_at(dependant)));
            if paths > FREQUENT {
                return FREQUENT + 1;
            }
            walk.push((dependant, 0, ways));
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition: walk forward from every package, and count every arrival.
    fn naive(depends: &[Vec<Place>], listed: &[u32]) -> Vec<u32> {
        fn walk(package: Place, path: &mut Vec<Place>, depends: &[Vec<Place>], counts: &mut [u32]) {
            if path.contains(&package) {
                return;
            }
            counts[package] += 1;
            path.push(package);
            for &dependency in &depends[package] {
                walk(dependency, path, depends, counts);
            }
            path.pop();
        }
        let mut counts = vec![0; depends.len()];
        for (package, &times) in listed.iter().enumerate() {
            for _ in 0..times {
                walk(package, &mut Vec::new(), depends, &mut counts);
            }
        }
        counts
    }

    fn graphs() -> impl Strategy<Value = (Vec<Vec<Place>>, Vec<u32>)> {
        (2_usize..7).prop_flat_map(|n| {
            let lists = prop::collection::vec(prop::collection::vec(0..n, 0..5), n);
            (lists, prop::collection::vec(1_u32..3, n))
        })
    }

    proptest! {
        #[test]
        fn the_count_equals_the_naive_one_up_to_the_threshold((depends, listed) in graphs()) {
            let dependants = dependants(&depends);
            let counted: Vec<u32> = (0..depends.len()).map(|p| paths_to(p, &dependants, &listed)).collect();
            let expected: Vec<u32> =
                naive(&depends, &listed).into_iter().map(|count| count.min(FREQUENT + 1)).collect();
            prop_assert_eq!(counted, expected);
        }
    }

    /// Layers of two packages, each of which depends on both of the next layer.
    fn diamonds(layers: usize) -> Vec<Vec<Place>> {
        (0..layers * 2)
            .map(|p| if p / 2 + 1 < layers { vec![p / 2 * 2 + 2, p / 2 * 2 + 3] } else { vec![] })
            .collect()
    }

    #[test]
    fn the_sixth_layer_of_diamonds_passes_the_threshold() {
        // 1, 3, 7, 15, 31, 63, 127 paths lead to the packages of the layers.
        let frequent = too_frequent(&diamonds(8), &[1; 16]);
        assert_eq!(frequent, [[false; 12].as_slice(), &[true; 4]].concat());
    }

    #[test]
    fn a_thousand_layers_of_diamonds_are_counted_at_once() {
        let frequent = too_frequent(&diamonds(1000), &[1; 2000]);
        assert_eq!(frequent.iter().filter(|f| !**f).count(), 12);
    }

    #[test]
    fn exactly_a_hundred_paths_are_not_too_many() {
        for (dependants, frequent) in [(98, false), (99, false), (100, true)] {
            let depends: Vec<Vec<Place>> =
                (0..=dependants).map(|p| if p == 0 { vec![] } else { vec![0] }).collect();
            assert_eq!(too_frequent(&depends, &vec![1; dependants + 1])[0], frequent, "{dependants}");
        }
    }

    #[test]
    fn packages_that_all_depend_on_each_other_are_counted_at_once() {
        let all: Vec<Vec<Place>> = (0..300).map(|p| (0..300).filter(|d| *d != p).collect()).collect();
        assert!(too_frequent(&all, &[1; 300]).iter().all(|f| *f));
    }
}
