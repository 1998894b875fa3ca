//! One open session: a connected driver on its thread.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use regent_plugin_api::{DynDriver, Result as CallResult};

use super::Error;
use super::budget::Budget;
use super::bulkhead::Lane;
use super::loaded::LoadedDriver;

/// A connected driver. All calls go to the driver's thread, with a deadline.
pub(crate) struct Session {
    driver: Arc<LoadedDriver>,
    lane: Arc<Lane>,
    object: Option<Arc<dyn DynDriver>>,
    deadline: Duration,
}

impl Session {
    pub(super) fn new(
        driver: Arc<LoadedDriver>,
        lane: Arc<Lane>,
        object: Arc<dyn DynDriver>,
        deadline: Duration,
    ) -> Self {
        Self { driver, lane, object: Some(object), deadline }
    }

    /// The driver.
    pub(crate) fn driver(&self) -> &LoadedDriver {
        &self.driver
    }

    /// Whether calls can still be made.
    pub(crate) fn is_alive(&self) -> bool {
        !self.lane.is_over()
    }

    /// One call: `f` makes the driver's future, on the driver's thread.
    pub(crate) async fn call<T, F, Fut>(&self, f: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&dyn DynDriver) -> Fut + Send + 'static,
        Fut: Future<Output = CallResult<T>> + Send + 'static,
    {
        let object = Arc::clone(self.object());
        let call = async move {
            // Nothing of the driver is held over the await but its own future.
            let future = f(&*object);
            drop(object);
            future.await
        };
        let budget = Arc::new(Budget::default());
        let call = Arc::clone(&budget).spent_by(call);
        let answer = self.driver.bulkhead().run(&self.lane, self.deadline, call).await?;
        let driver = || self.driver.name().to_owned();
        match (answer, budget.breach()) {
            (Ok(value), _) => Ok(value),
            // Whatever the driver makes of it.
            (Err(_), Some(breach)) => Err(Error::Exceeded { driver: driver(), breach }),
            (Err(error), None) => Err(Error::Call { driver: driver(), error }),
        }
    }

    /// One call that no one waits for.
    pub(crate) fn post<F, Fut>(&self, f: F)
    where
        F: FnOnce(&dyn DynDriver) -> Fut + Send + 'static,
        Fut: Future<Output = CallResult<()>> + Send + 'static,
    {
        let object = Arc::clone(self.object());
        self.lane.post(async move {
            let future = f(&*object);
            drop(object);
            let _ = future.await; // there is no one to tell
        });
    }

    fn object(&self) -> &Arc<dyn DynDriver> {
        self.object.as_ref().expect("only drop takes it")
    }
}

impl Drop for Session {
    /// The driver's own drop is code of the driver: it runs on the driver's thread.
    fn drop(&mut self) {
        let object = self.object.take();
        self.lane.post(async move { drop(object) });
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("driver", &self.driver.name()).finish_non_exhaustive()
    }
}
