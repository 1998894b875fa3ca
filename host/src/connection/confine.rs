//! Local paths in requests stay below one directory.

use std::path::Path;

use super::{Connection, ConnectionError};

/// Checks a connection whose registry is a path of this machine, and puts the path without links in its place, so
/// that what was checked is what is opened.
///
/// # Errors
/// [`ConnectionError::LocalRootUnset`], [`ConnectionError::LocalPathRefused`].
pub fn confine(connection: Connection, root: Option<&Path>) -> Result<Connection, ConnectionError> {
    let root = root.ok_or(ConnectionError::LocalRootUnset)?;
    let refused = |_| ConnectionError::LocalPathRefused;
    let root = root.canonicalize().map_err(refused)?;
    let path = connection.base().ok_or(ConnectionError::LocalPathRefused)?;
    let path = Path::new(path).canonicalize().map_err(refused)?;
    if !path.starts_with(&root) {
        return Err(ConnectionError::LocalPathRefused);
    }
    let text = path.to_str().ok_or(ConnectionError::LocalPathRefused)?.to_owned();
    Ok(connection.with_base(text))
}
