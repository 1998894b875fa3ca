//! Vendors that can't run here, as emulators on an internet of their own.
//!
//! An emulator begins with a table of [`operation`]s, transcribed from the vendor's document: host, method, path, parameters with
//! their bounds, headers. A request outside of the table is a violation: it is refused, and fails the test when the
//! emulator is dropped. Whatever the vendor answers to a request of the right form (unknown credentials, a right that
//! is missing, nothing there) is the business of its [`Vendor`](emulator::Vendor) implementation.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`message`] | requests as they arrive, and answers |
//! | [`operation`] | the table: what a vendor takes, and one request for each rule that breaks it |
//! | [`emulator`] | a vendor at work: its log, its limits, its outages |
//! | [`internet`] | host names and who answers there, the clock, the world as a linked-in driver sees it |
//! | [`proxy`] | the same internet for the agent as a process: an HTTPS proxy |
//! | [`store`], [`tokens`], [`distribution`] | what most emulators are made of |
//! | [`scene`], [`suite`] | what every driver has to do with its vendor |
//!
//! Time is the internet's: waiting advances it, so that rate limits and expiring tokens take none.

pub mod acr;
pub mod all;
pub mod artifactory;
pub mod digitalocean;
pub mod distribution;
pub mod docker_hub;
pub mod ecr;
pub mod emulator;
pub mod github;
pub mod gitlab;
pub mod google;
pub mod harbor;
pub mod internet;
pub mod listing;
pub mod message;
pub mod nexus;
pub mod operation;
pub mod proxy;
pub mod quay;
pub mod scene;
pub mod store;
pub mod suite;
pub mod tokens;
