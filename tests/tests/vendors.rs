//! Every driver against its vendor's emulator: the shared suite.

use regent_tests::vendor_suite;

vendor_suite!(digitalocean, regent_tests::vendor::digitalocean::DigitaloceanScene);
