//! What the drivers of Google's two registries share, which is nearly everything: Container Registry's names live on as
//! repositories of Artifact Registry.
//!
//! [`GoogleDriver`] is the driver of either, but for what its library says of itself. A connection has two sessions: `/v2/` at the registry's host, where the key is a
//! password at the token service; and the Artifact Registry API, where an access token is wanted, for which the
//! key signs. What is listed how:
//!
//! | what | first | if that is refused | and then |
//! | --- | --- | --- | --- |
//! | repositories | the API: repositories, and the packages of each | from name to name over `/v2/<name>/tags/list` | `/v2/_catalog`, which spans projects, filtered |
//! | tags, and what is known of them | `/v2/<name>/tags/list`, all in one answer | – | – |
//! | the same, of more than 10,000 | the API: tags; versions | – | – |
//!
//! It sends the key to the registry's
//! own token service (and `gcr.io`, that of its regional names) and what it signs to `oauth2.googleapis.com`, and to no
//! other host, whatever the key or a challenge says.

mod access_token;
mod artifact_registry;
mod credentials;
mod diagnosis;
mod driver;
mod error;
mod key;
mod listing;
mod place;
mod registry;
mod tag_list;
mod walk;

pub use driver::{Gar, Gcr, GoogleDriver, Product};
pub use error::Error;
pub use registry::Family;
