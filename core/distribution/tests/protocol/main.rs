//! The protocol against scripted registries: every answer is written down, time is virtual, nothing sleeps.

#[cfg(test)]
mod authorization;
#[cfg(test)]
mod blobs;
#[cfg(test)]
mod issued;
#[cfg(test)]
mod listings;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod script;
#[cfg(test)]
mod tokens;

/// Drivers' methods and the host's tasks are `Send`; so everything awaited here has to be.
#[cfg(test)]
#[test]
fn every_future_may_move_between_threads() {
    use regent_distribution::{Freshness, PageQuery, Scope, Verify};

    fn is_send<T: Send>(_: &T) {}
    let script = script::Script::new([]);
    let session = script.session(script::robot());
    let client = session.client("a".parse().unwrap());
    let query = PageQuery::default();
    let (scope, reference) = (Scope::none(), "v1".parse().unwrap());
    let descriptor = regent_oci::Descriptor::of("x", b"x");
    is_send(&session.ping());
    is_send(&session.catalog(&query, &scope));
    is_send(&session.authorization(client.repository(), Freshness::Cached));
    is_send(&client.tags(&query));
    is_send(&client.head_manifest(&reference));
    is_send(&client.manifest(&reference));
    is_send(&client.small_blob(&descriptor, 1));
    let mut stream = client.blob(&descriptor, Verify::AtEnd);
    is_send(&stream);
    is_send(&stream.chunk());
}
