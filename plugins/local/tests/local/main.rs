//! The driver, called through its own guards as a host would, on archives and layouts made here.

mod connection;
mod docker;
mod hostile;
mod image;
mod layouts;
mod oci;
