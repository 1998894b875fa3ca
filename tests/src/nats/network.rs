//! A network of namespaces: each has an interface, and all interfaces meet at a bridge of this machine.
//!
//! ```text
//! this machine ── bridge ─┬─ link 0 ── namespace 0
//!                         ├─ link 1 ── namespace 1
//!                         └─ …
//! ```
//!
//! A link can be pulled, which cuts a namespace off from everyone; or links can be isolated, which cuts the namespaces off
//! from each other and not from this machine.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::RngExt as _;

/// A running network. Takes root; it is gone after the drop.
#[derive(Debug)]
pub struct Network {
    name: String,
    /// `10.a.b`
    prefix: String,
    n_links: usize,
}

impl Network {
    /// One of so many namespaces.
    ///
    /// # Panics
    /// When the system does not allow it.
    pub fn new(n_links: usize) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Names of interfaces have fifteen letters at most.
        let name = format!("rg{}x{number}", std::process::id());
        let mut random = rand::rng();
        let prefix = format!("10.{}.{}", random.random_range(200..250), random.random_range(1..250));
        let network = Self { name, prefix, n_links };
        let bridge = &network.name;
        ip(&format!("link add {bridge} type bridge"));
        ip(&format!("addr add {}.254/24 dev {bridge}", network.prefix));
        ip(&format!("link set {bridge} up"));
        for number in 0..n_links {
            let (namespace, link) = (network.namespace(number), network.link(number));
            ip(&format!("netns add {namespace}"));
            ip(&format!("link add {link} type veth peer name eth0 netns {namespace}"));
            ip(&format!("link set {link} master {bridge}"));
            ip(&format!("link set {link} up"));
            ip(&format!("-n {namespace} addr add {}/24 dev eth0", network.ip(number)));
            ip(&format!("-n {namespace} link set eth0 up"));
            ip(&format!("-n {namespace} link set lo up"));
        }
        network
    }

    /// A namespace's address.
    pub fn ip(&self, number: usize) -> String {
        format!("{}.{}", self.prefix, number + 1)
    }

    /// What starts a program in a namespace.
    pub fn launcher(&self, number: usize) -> Vec<String> {
        ["ip", "netns", "exec", &self.namespace(number)].map(str::to_owned).to_vec()
    }

    /// Cuts a namespace off from everyone.
    pub fn unplug(&self, number: usize) {
        ip(&format!("link set {} down", self.link(number)));
    }

    /// Cuts all namespaces off from each other. This machine still reaches each.
    pub fn isolate(&self) {
        for number in 0..self.n_links {
            run("bridge", &format!("link set dev {} isolated on", self.link(number)));
        }
    }

    /// Mends what was cut.
    pub fn heal(&self) {
        for number in 0..self.n_links {
            ip(&format!("link set {} up", self.link(number)));
            run("bridge", &format!("link set dev {} isolated off", self.link(number)));
        }
    }

    fn namespace(&self, number: usize) -> String {
        format!("{}n{number}", self.name)
    }

    fn link(&self, number: usize) -> String {
        format!("{}l{number}", self.name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // As far as it goes: what is left is in nobody's way.
        // A link goes with its namespace.
        for number in 0..self.n_links {
            let _ = Command::new("ip").args(["netns", "del", &self.namespace(number)]).output();
        }
        let _ = Command::new("ip").args(["link", "del", &self.name]).output();
    }
}

fn ip(words: &str) {
    run("ip", words);
}

fn run(program: &str, words: &str) {
    let output = Command::new(program).args(words.split(' ')).output();
    let output =
        output.unwrap_or_else(|e| panic!("{program} can't be started ({e}); `cargo xtask test` installs it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words}: {said} (network namespaces take root)");
}
