//! Debian's `docker-registry` (CNCF Distribution) as a real registry.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;

use crate::process::{Process, free_port};

/// How the registry authenticates.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Not at all.
    None,
    /// One user, by Basic.
    Htpasswd {
        /// The user.
        username: String,
        /// The password.
        password: String,
    },
    /// Bearer tokens of a token server, which the registry itself verifies.
    Token {
        /// URL of the token server.
        realm: String,
        /// Certificate that the tokens' key belongs to, PEM.
        certificate: String,
    },
}

/// A running registry with storage of its own.
#[derive(Debug)]
pub struct Registry {
    process: Process,
    port: u16,
    storage: tempfile::TempDir,
    auth: Auth,
}

impl Registry {
    /// Starts one.
    pub async fn start(auth: Auth) -> Self {
        let storage = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = storage.path().join("config.yml");
        let section = match &auth {
            Auth::None => String::new(),
            Auth::Htpasswd { username, password } => {
                let file = storage.path().join("htpasswd");
                // Cost 4 is the least that bcrypt knows: the registry checks it at every request.
                let hash = bcrypt::hash(password, 4).unwrap();
                fs::write(&file, format!("{username}:{hash}\n")).unwrap();
                format!("auth:\n  htpasswd:\n    realm: tests\n    path: {}\n", file.display())
            }
            Auth::Token { realm, certificate } => {
                let file = storage.path().join("token.pem");
                fs::write(&file, certificate).unwrap();
                format!(
                    "auth:\n  token:\n    realm: {realm}\n    service: regent-tests\n    issuer: regent-tests\n    \
                     rootcertbundle: {}\n",
                    file.display()
                )
            }
        };
        let text = format!(
            "version: 0.1\nlog:\n  level: warn\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: \
             true\nhttp:\n  addr: 127.0.0.1:{port}\n{section}",
            storage.path().join("data").display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none");
        let mut process = Process::start("docker-registry", &mut command);
        process.wait_for_port(port).await;
        Self { process, port, storage, auth }
    }

    /// `127.0.0.1:port`.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The `Authorization` header for pushing, where Basic is used.
    pub fn authorization(&self) -> Option<String> {
        match &self.auth {
            Auth::Htpasswd { username, password } => Some(basic(username, password)),
            Auth::None | Auth::Token { .. } => None,
        }
    }

    /// Folder of the stored blobs.
    pub fn data(&self) -> PathBuf {
        self.storage.path().join("data")
    }

    /// What the registry has logged.
    pub fn output(&self) -> String {
        self.process.output()
    }
}

/// A Basic `Authorization` header.
pub fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}")))
}
