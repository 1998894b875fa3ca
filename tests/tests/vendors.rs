//! Every driver against its vendor's emulator: the shared suite.

use regent_tests::{all_vendors, vendor_suite};

macro_rules! suites {
    ($($name:ident: $scene:ty),*) => { $(vendor_suite!($name, $scene);)* };
}

all_vendors!(suites);
