//! The panic hook of a loaded driver. Every cdylib has its own copy of the standard library, so this hook is private to
//! the driver: it keeps panics off standard error and learns where they happened, which the payload does not say.

use std::cell::Cell;
use std::panic::PanicHookInfo;
use std::sync::{Arc, Mutex, Once, Weak};

use crate::host::{HostServices, LogLevel};

thread_local! {
    /// What the panic that is unwinding on this thread said.
    static MESSAGE: Cell<Option<String>> = const { Cell::new(None) };
}

/// The host of the latest connection, for panics in threads that the driver started itself: nobody catches those.
static HOST: Mutex<Option<Weak<dyn HostServices>>> = Mutex::new(None);

thread_local! {
    /// Whether a guard of ours is on this thread's stack.
    static CALLED: Cell<bool> = const { Cell::new(false) };
}

/// Says that panics of this thread are caught and reported by a guard from here on, and forgets what earlier ones said.
pub(crate) fn enter() {
    let _ = CALLED.try_with(|called| called.set(true));
    let _ = take_message();
}

/// Installs the hook. Only for a loaded library: elsewhere the hook belongs to the program.
pub(crate) fn install(host: &Arc<dyn HostServices>) {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| std::panic::set_hook(Box::new(keep)));
    if let Ok(mut latest) = HOST.lock() {
        *latest = Some(Arc::downgrade(host));
    }
}

/// The message of the panic that was just caught on this thread, if the hook is installed.
pub(crate) fn take_message() -> Option<String> {
    MESSAGE.try_with(Cell::take).ok().flatten()
}

fn keep(info: &PanicHookInfo<'_>) {
    let what = info.payload_as_str().unwrap_or("a panic without a message");
    let message = match info.location() {
        Some(at) => format!("{what} at {}:{}", at.file(), at.line()),
        None => what.to_owned(),
    };
    if CALLED.try_with(Cell::get).unwrap_or(false) {
        let _ = MESSAGE.try_with(|kept| kept.set(Some(message)));
    } else if let Some(host) = HOST.lock().ok().and_then(|latest| latest.as_ref().and_then(Weak::upgrade)) {
        host.log(LogLevel::Error, &format!("a thread of the driver panicked: {message}"));
    }
}
