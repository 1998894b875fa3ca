//! The threads of the program: which of them operations run on, and how far those stand behind others.
//!
//! In an agent operations do not run where requests are answered. Downloads, their TLS, and what is put together of an image
//! take the processor for milliseconds at a time: on threads of their own, which stand last, none of it is in the way of an
//! answer.

mod standing;

use std::cell::Cell;
use std::sync::Arc;

use once_cell::sync::OnceCell;
use tokio::runtime::{Builder, Handle, Runtime};

pub(crate) use standing::Standing;

thread_local! {
    static IS_WORKING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is one of those that operations have to themselves. A connection belongs to the runtime that it was made
/// in, so what works and what answers have each their own.
pub(crate) fn is_working() -> bool {
    IS_WORKING.get()
}

/// Where operations run. Cheap to clone; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Threads {
    own: Option<Arc<Own>>,
}

/// Made when there is a first operation: an agent that only lists has no need of them.
#[derive(Debug, Default)]
struct Own(OnceCell<Runtime>);

impl Threads {
    /// Those of whoever starts the workers.
    pub fn shared() -> Self {
        Self::default()
    }

    /// Threads of their own, which stand behind all others.
    pub fn own() -> Self {
        Self { own: Some(Arc::default()) }
    }

    /// The runtime to spawn an operation on. To be called in a tokio runtime.
    pub(crate) fn handle(&self) -> Handle {
        let own = self.own.as_ref().and_then(|own| own.0.get_or_try_init(build).ok());
        own.map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

fn build() -> std::io::Result<Runtime> {
    let begin = || {
        IS_WORKING.set(true);
        Standing::Last.take();
    };
    // An error is that of the system, which has no more threads to give: then there are those that answer.
    let built =
        Builder::new_multi_thread().thread_name("operations").on_thread_start(begin).enable_all().build();
    built.inspect_err(|error| tracing::warn!(%error, "operations run on the threads that answer requests"))
}

impl Drop for Own {
    fn drop(&mut self) {
        // It may be one of its own threads that lets go of it last, and that must not wait for itself.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn operations_have_threads_of_their_own_where_others_are_answered() {
        let (own, shared) = (Threads::own(), Threads::shared());
        let there = own.handle().spawn(async { (is_working(), std::thread::current().id()) }).await.unwrap();
        assert!(there.0);
        assert_ne!(there.1, std::thread::current().id());
        assert!(own.clone().handle().spawn_blocking(is_working).await.unwrap(), "what they wait for as well");
        assert!(!shared.handle().spawn(async { is_working() }).await.unwrap());
        assert!(!is_working());
    }

    #[tokio::test]
    async fn the_last_to_let_go_of_them_may_be_one_of_them() {
        let threads = Threads::own();
        let handle = threads.handle();
        handle.spawn(async move { drop(threads) }).await.unwrap();
    }
}
