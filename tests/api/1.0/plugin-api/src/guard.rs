//! Guards that turn panics into errors, wherever code of the other side of the ABI may run: when it is called, polled
//! or dropped. An unwinding that reaches the ABI's edge would end the process.

pub(crate) mod hook;

use std::any::Any;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use regent_transport::Class;

use crate::error::Error;
use crate::host::{Host, LogLevel};

/// The code of the error that a panic of a driver becomes.
pub const PANICKED: &str = "driver_panicked";

/// A panic that was caught.
pub(crate) struct Panicked {
    /// What was said, with file and line where they are known.
    message: String,
}

impl Panicked {
    /// Takes the message and frees the payload, whose drop may panic as well.
    fn caught(payload: Box<dyn Any + Send>) -> Self {
        let message = hook::take_message().unwrap_or_else(|| {
            let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
            text.unwrap_or_else(|| "a panic without a message".to_owned())
        });
        discard(payload);
        Self { message }
    }

    /// Tells the host's log.
    pub(crate) fn report(self, host: &Host) -> Self {
        // A log that panics in its turn has said all it can.
        let _ = catch(|| host.log(LogLevel::Error, format_args!("the driver panicked: {}", self.message)));
        self
    }

    pub(crate) fn into_error(self) -> Error {
        Error::new(Class::Internal, PANICKED, format!("the driver panicked: {}", self.message))
    }

    #[cfg(feature = "load")]
    pub(crate) fn into_message(self) -> String {
        self.message
    }
}

/// Runs something that may panic.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Panicked> {
    hook::enter();
    catch_unwind(AssertUnwindSafe(f)).map_err(Panicked::caught)
}

/// Drops something whose drop may panic.
pub(crate) fn drop_guarded<T>(value: T) -> Result<(), Panicked> {
    catch(|| drop(value))
}

#[expect(
    clippy::mem_forget,
    reason = "the payload of a payload's own panic can't be freed without risking a third"
)]
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
        let _ = hook::take_message();
    }
}

/// A future whose panics are values, in `poll` and in `drop`. After a panic it holds nothing any more.
pub(crate) struct Guarded<F> {
    future: Option<Pin<Box<F>>>,
    host: Option<Host>,
}

impl<F: Future> Guarded<F> {
    /// Panics are told to the host's log too: the one in a drop has nowhere else to go.
    pub(crate) fn new(future: F, host: Host) -> Self {
        Self { future: Some(Box::pin(future)), host: Some(host) }
    }

    /// On the host's side, which has no one to tell but the caller.
    #[cfg(feature = "load")]
    pub(crate) fn silent(future: F) -> Self {
        Self { future: Some(Box::pin(future)), host: None }
    }
}

impl<F> Guarded<F> {
    fn free(&mut self) {
        let Some(future) = self.future.take() else { return };
        if let (Err(panicked), Some(host)) = (drop_guarded(future), &self.host) {
            panicked.report(host);
        }
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = &mut self.future else {
            return Poll::Ready(Err(Panicked { message: "polled after its end".to_owned() }));
        };
        match catch(|| future.as_mut().poll(context)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => {
                self.free();
                Poll::Ready(Ok(output))
            }
            Err(panicked) => {
                let panicked = match &self.host {
                    Some(host) => panicked.report(host),
                    None => panicked,
                };
                self.free();
                Poll::Ready(Err(panicked))
            }
        }
    }
}

impl<F> Drop for Guarded<F> {
    fn drop(&mut self) {
        self.free();
    }
}

/// A driver whose own drop may panic.
pub(crate) struct Guard<D> {
    driver: Option<D>,
    host: Host,
}

impl<D> Guard<D> {
    pub(crate) fn new(driver: D, host: Host) -> Self {
        Self { driver: Some(driver), host }
    }
}

impl<D> Deref for Guard<D> {
    type Target = D;

    fn deref(&self) -> &D {
        self.driver.as_ref().expect("only drop takes it")
    }
}

impl<D> Drop for Guard<D> {
    fn drop(&mut self) {
        if let Err(panicked) = drop_guarded(self.driver.take()) {
            panicked.report(&self.host);
        }
    }
}
