//! The list of repositories without the Artifact Registry API: from each name to the names below it.

use regent_distribution::{Error as ProtocolError, Session};
use regent_oci::RepositoryName;
use regent_transport::{Class, Fault as _};

use crate::tag_list::TagList;

/// The most names that are looked at for one page: each takes a request, and a token of its own before it.
const MAX_VISITS: usize = 24;

/// A page of the walk.
pub(crate) struct Walked {
    pub(crate) items: Vec<RepositoryName>,
    /// The last name that was looked at; `None` at the end.
    pub(crate) last: Option<RepositoryName>,
}

/// Goes on with the walk from below `root` behind the name `after`, parents before children, each level sorted.
///
/// The names between `root` and `after` are asked again for what is below them, so that their answers need not be
/// kept: the next page may be asked of another process.
pub(crate) async fn walk(
    session: &Session,
    root: &RepositoryName,
    after: Option<&RepositoryName>,
    size: u32,
) -> Result<Walked, ProtocolError> {
    // What is still to be looked at, the next one last.
    let mut pending = Vec::new();
    match after {
        None => pending.push(root.clone()),
        Some(after) => {
            for name in between(root, after)? {
                let children = match TagList::fetch(session, &name, None).await {
                    Ok((list, _)) => list.children(&name),
                    Err(error) if error.class() == Class::Absent => Vec::new(), // gone meanwhile
                    Err(error) => return Err(error),
                };
                // Those up to the branch that `after` is on are done with.
                let is_ahead = |child: &RepositoryName| name == *after || is_behind(child, after);
                pending.extend(children.into_iter().filter(is_ahead).rev());
            }
        }
    }
    let (mut items, mut visits) = (Vec::new(), 0);
    while let Some(name) = pending.pop() {
        let list = match TagList::fetch(session, &name, None).await {
            Ok((list, _)) => Some(list),
            Err(error) if error.class() == Class::Absent && name != *root => None,
            Err(error) => return Err(error),
        };
        if let Some(list) = list {
            if list.has_images() {
                items.push(name.clone());
            }
            pending.extend(list.children(&name).into_iter().rev());
        }
        visits += 1;
        if !pending.is_empty() && (visits >= MAX_VISITS || items.len() >= size as usize) {
            return Ok(Walked { items, last: Some(name) });
        }
    }
    Ok(Walked { items, last: None })
}

/// Whether a name comes behind another and is not above it, part by part: `a-b` is behind `a/c`.
fn is_behind(name: &RepositoryName, other: &RepositoryName) -> bool {
    name.as_str().split('/').gt(other.as_str().split('/'))
}

/// The names from `root` to `name`, both included.
fn between(root: &RepositoryName, name: &RepositoryName) -> Result<Vec<RepositoryName>, ProtocolError> {
    let rest = name.as_str().strip_prefix(root.as_str()).ok_or(ProtocolError::CursorInvalid)?;
    let mut names = vec![root.clone()];
    let mut text = root.as_str().to_owned();
    for part in rest.split('/').skip(1) {
        text = format!("{text}/{part}");
        names.push(text.parse().map_err(|_| ProtocolError::CursorInvalid)?);
    }
    match names.last() {
        Some(last) if last == name => Ok(names),
        _ => Err(ProtocolError::CursorInvalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    #[test]
    fn the_way_down_to_a_name_begins_at_the_root() {
        let rows = [
            ("p", "p", Some(vec!["p"])),
            ("p", "p/a/b", Some(vec!["p", "p/a", "p/a/b"])),
            ("p/r", "p/r/a", Some(vec!["p/r", "p/r/a"])),
            ("p", "q/a", None),
            ("p", "pq", None),
            ("p", "pq/a", None),
        ];
        for (root, to, expected) in rows {
            let found = between(&name(root), &name(to)).ok();
            let expected = expected.map(|names| names.into_iter().map(name).collect::<Vec<_>>());
            assert_eq!(found, expected, "{root} {to}");
        }
    }

    #[test]
    fn what_was_looked_at_is_not_ahead() {
        let rows = [
            ("p/b", "p/a/c", true),
            ("p/a-b", "p/a/c", true),
            ("p/a", "p/a/c", false),
            ("p/a", "p/b", false),
        ];
        for (child, after, expected) in rows {
            assert_eq!(is_behind(&name(child), &name(after)), expected, "{child} {after}");
        }
    }
}
