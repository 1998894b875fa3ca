//! The library's entry: from `Driver` to the root module.

#![expect(unsafe_code, reason = "the header's constructor asks for a promise about its module's type")]

use abi_stable::library::{__call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult};
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::std_types::RResult;

use super::driver_side::open_session;
use super::{DriverModule, DriverModuleRef, SessionBox, WireConnect, WireError};
use crate::driver::Driver;

/// The static that a library exports.
pub const fn root<D: Driver>() -> LibHeader {
    // SAFETY: `construct` returns the module made by `module`, which is a `DriverModuleRef`.
    unsafe { LibHeader::from_constructor::<DriverModuleRef>(construct::<D>, CheckTypeLayout::Yes) }
}

extern "C" fn construct<D: Driver>() -> RootModuleResult {
    __call_root_module_loader(module::<D>)
}

fn module<D: Driver>() -> DriverModuleRef {
    DriverModule { connect: connect::<D> }.leak_into_prefix()
}

extern "C" fn connect<D: Driver>(request: WireConnect) -> RResult<SessionBox, WireError> {
    open_session(request, crate::native::connect::<D>)
}
