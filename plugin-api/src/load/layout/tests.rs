#![expect(unsafe_code, reason = "the derives write unsafe code")]
#![expect(non_local_definitions, reason = "sabi_trait implements its traits inside a constant")]
#![expect(unreachable_pub, reason = "the derives make their own items as visible as these")]
#![expect(
    clippy::cast_ptr_alignment,
    clippy::expl_impl_clone_on_copy,
    clippy::mem_forget,
    clippy::trivially_copy_pass_by_ref,
    clippy::used_underscore_binding,
    reason = "what the derives and sabi_trait write"
)]
#![expect(dead_code, reason = "only their layouts matter")]

use abi_stable::StableAbi;

use super::check;

/// The API as it was.
mod before {
    use abi_stable::std_types::{RBox, RString};
    use abi_stable::{StableAbi, sabi_trait};

    #[repr(C)]
    #[derive(StableAbi)]
    pub struct Request {
        pub name: RString,
    }

    #[sabi_trait]
    pub trait Driver: Send + Sync + 'static {
        #[sabi(last_prefix_field)]
        fn list(&self, request: Request) -> u32;
    }

    #[repr(C)]
    #[derive(StableAbi)]
    #[sabi(kind(Prefix(prefix_ref = ModuleRef)))]
    pub struct Module {
        #[sabi(last_prefix_field)]
        pub connect: extern "C" fn() -> Driver_TO<RBox<()>>,
    }
}

/// One method and one entry more, each at the end.
mod after {
    use abi_stable::std_types::{RBox, RString};
    use abi_stable::{StableAbi, sabi_trait};

    #[repr(C)]
    #[derive(StableAbi)]
    pub struct Request {
        pub name: RString,
    }

    #[sabi_trait]
    pub trait Driver: Send + Sync + 'static {
        #[sabi(last_prefix_field)]
        fn list(&self, request: Request) -> u32;
        fn describe(&self) -> u32 {
            0
        }
    }

    #[repr(C)]
    #[derive(StableAbi)]
    #[sabi(kind(Prefix(prefix_ref = ModuleRef)))]
    pub struct Module {
        #[sabi(last_prefix_field)]
        pub connect: extern "C" fn() -> Driver_TO<RBox<()>>,
        pub reload: extern "C" fn(),
    }
}

/// A field more in a struct that goes by value: what the rules forbid.
mod broken {
    use abi_stable::std_types::{RBox, RString};
    use abi_stable::{StableAbi, sabi_trait};

    #[repr(C)]
    #[derive(StableAbi)]
    pub struct Request {
        pub name: RString,
        pub limit: u32,
    }

    #[sabi_trait]
    pub trait Driver: Send + Sync + 'static {
        #[sabi(last_prefix_field)]
        fn list(&self, request: Request) -> u32;
    }

    #[repr(C)]
    #[derive(StableAbi)]
    #[sabi(kind(Prefix(prefix_ref = ModuleRef)))]
    pub struct Module {
        #[sabi(last_prefix_field)]
        pub connect: extern "C" fn() -> Driver_TO<RBox<()>>,
    }
}

#[test]
fn an_older_side_fits_a_newer_one_and_no_order_of_checks_matters() {
    let before = <before::ModuleRef as StableAbi>::LAYOUT;
    let after = <after::ModuleRef as StableAbi>::LAYOUT;
    let pairs = [("same", before, before), ("older", before, after), ("own", after, after)];
    for first in pairs {
        for second in pairs {
            for (name, older, newer) in [first, second, first] {
                assert!(check(older, newer).is_ok(), "{name}, after {} and {}", first.0, second.0);
            }
        }
    }
    assert!(check(after, before).is_err(), "the versions must be told apart by the caller");
}

#[test]
fn a_struct_that_grew_is_found_behind_the_objects_that_take_it() {
    let before = <before::ModuleRef as StableAbi>::LAYOUT;
    let broken = <broken::ModuleRef as StableAbi>::LAYOUT;
    for (older, newer, text) in [
        (before, broken, "Request: 40 bytes where 32 were expected"),
        (broken, before, "Request: 32 bytes where 40 were expected"),
    ] {
        let mismatch = check(older, newer).expect_err("they differ");
        assert_eq!(&*mismatch.summary, text);
        assert!(mismatch.report.len() > mismatch.summary.len());
    }
}
