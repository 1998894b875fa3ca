//! The driver, called through its own guards as a host would, on archives and layouts made here.

// `cfg(test)` tells the lints that helpers in these files are tests, too.
#[cfg(test)]
mod connection;
#[cfg(test)]
mod docker;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod image;
#[cfg(test)]
mod layouts;
#[cfg(test)]
mod oci;
