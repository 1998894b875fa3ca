//! The protocol against scripted registries: every answer is written down, time is virtual, nothing sleeps.

#[cfg(test)]
mod authorization;
#[cfg(test)]
mod blobs;
#[cfg(test)]
mod listings;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod script;
#[cfg(test)]
mod tokens;
