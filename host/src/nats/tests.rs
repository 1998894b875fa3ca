//! How servers let the agent in, and how not.

use async_nats::jetstream::stream::Config as StreamConfig;
use nkeys::KeyPair;

use super::test_server::NatsServer;
use super::test_server::accounts::Accounts;
use super::test_server::trust::Authority;
use super::*;
use crate::jobs::{JetStreamConfig, JetStreamQueue, Queue as _};
use crate::seal::SealKeys;
use crate::settings::{CertificateFiles, NatsServers};

/// A server, and what may not be in any error.
struct Site {
    server: NatsServer,
    secrets: Vec<String>,
}

impl Site {
    async fn new(config: String, secrets: &[&str]) -> Self {
        let secrets = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        Self { server: NatsServer::with(|_| config).await, secrets }
    }

    /// Settings with `user` in front of the server's address.
    fn settings(&self, scheme: &str, user: &str) -> NatsSettings {
        let address = self.server.url().replace("nats://", user);
        NatsSettings {
            servers: NatsServers::parse(&format!("{scheme}://{address}")).unwrap(),
            ..self.server.settings("t")
        }
    }

    /// Settings with the text of a file.
    fn with_file(&self, text: &str, set: impl FnOnce(&mut NatsSettings, std::path::PathBuf)) -> NatsSettings {
        let mut settings = self.server.settings("t");
        let name = uuid::Uuid::new_v4().to_string();
        set(&mut settings, self.server.file(&name, text));
        settings
    }

    fn with_nkey(&self, seed: &str) -> NatsSettings {
        self.with_file(seed, |settings, path| settings.nkey = Some(path))
    }

    fn with_credentials(&self, text: &str) -> NatsSettings {
        self.with_file(text, |settings, path| settings.credentials = Some(path))
    }

    /// The agent is let in, has its queue there, and is let in again when the connection was lost.
    async fn lets_in(&mut self, settings: &NatsSettings) {
        let nats = Nats::connect(settings).await.unwrap();
        let config = JetStreamConfig::new(SealKeys::generate(), 10);
        let queue = JetStreamQueue::open(&nats, config).await.unwrap();
        assert_eq!(queue.counts().await.unwrap().queued, 0);
        queue.stop().await.unwrap();
        self.server.kill();
        self.server.resume().await;
        let config = || StreamConfig { name: "t-jobs".to_owned(), ..StreamConfig::default() };
        nats.patiently(async || nats.stream(config()).await).await.unwrap();
    }

    async fn refuses(&self, settings: &NatsSettings, code: &str, words: &str) {
        let error = Nats::connect(settings).await.unwrap_err();
        let shown = format!("{error} {error:?} {settings:?}");
        assert_eq!(error.code(), code, "{shown}");
        assert!(error.to_string().contains(words), "{shown}");
        for secret in &self.secrets {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

/// Lines of a configuration.
fn tls(files: &CertificateFiles, clients: Option<&Authority>) -> String {
    let (certificate, key) = (files.certificate.display(), files.key.display());
    let clients =
        clients.map(|authority| format!("ca_file: \"{}\", verify: true", authority.file().display()));
    format!("tls {{ cert_file: \"{certificate}\", key_file: \"{key}\", {} }}", clients.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_in() {
    let mut site = Site::new("authorization { token: t0ken%1 }".to_owned(), &["t0ken%1", "wr0ng"]).await;
    site.refuses(&site.settings("nats", ""), "credentials_rejected", "authorization violation").await;
    site.refuses(&site.settings("nats", "wr0ng@"), "credentials_rejected", "authorization violation").await;
    site.lets_in(&site.settings("nats", "t0ken%251@")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn user_and_password_let_in() {
    let config = r#"authorization { user: regent, password: "p@ss/word" }"#;
    let mut site = Site::new(config.to_owned(), &["p@ss", "p%40ss", "wr0ng"]).await;
    for user in ["", "regent:wr0ng@", "other:p%40ss%2Fword@"] {
        let wrong = site.settings("nats", user);
        site.refuses(&wrong, "credentials_rejected", "authorization violation").await;
    }
    site.lets_in(&site.settings("nats", "regent:p%40ss%2Fword@")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nkey_lets_in() {
    let (ours, other) = (KeyPair::new_user(), KeyPair::new_user());
    let (seed, other) = (ours.seed().unwrap(), other.seed().unwrap());
    let config = format!("authorization {{ users = [ {{ nkey: {} }} ] }}", ours.public_key());
    let mut site = Site::new(config, &[&seed, &other, seed.split_at(40).0]).await;
    let (rejected, invalid) = ("credentials_rejected", "setting_invalid");
    site.refuses(&site.settings("nats", ""), rejected, "authorization violation").await;
    site.refuses(&site.with_nkey(&other), rejected, "authorization violation").await;
    for text in ["", seed.split_at(40).0, &seed.replace('S', "1"), &ours.public_key()] {
        site.refuses(&site.with_nkey(text), invalid, "REGENT_QUEUE_NKEY: ").await;
    }
    site.lets_in(&site.with_nkey(&format!("{seed}\n"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credentials_file_lets_in() {
    let (accounts, others) = (Accounts::generate(), Accounts::generate());
    let (ours, other, cut) = (accounts.credentials(), others.credentials(), accounts.credentials());
    let secret = |text: &str| text.lines().find(|line| line.starts_with("SU")).unwrap().to_owned();
    let secrets = [&ours, &other, &cut].map(|text| secret(text));
    let mut site = Site::new(accounts.config(), &secrets.each_ref().map(String::as_str)).await;
    let (rejected, invalid) = ("credentials_rejected", "setting_invalid");
    site.refuses(&site.settings("nats", ""), rejected, "authorization violation").await;
    site.refuses(&site.with_credentials(&other), rejected, "authorization violation").await;
    for text in ["", &secrets[2], &cut.replace("SU", "1U"), cut.split_at(cut.len() / 2).0] {
        site.refuses(&site.with_credentials(text), invalid, "REGENT_QUEUE_CREDENTIALS: ").await;
    }
    // Another user's seed signs nothing for this one.
    let mixed = ours.replace(&secrets[0], &secrets[2]);
    site.refuses(&site.with_credentials(&mixed), rejected, "authorization violation").await;
    site.lets_in(&site.with_credentials(&ours)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_servers_that_the_authority_vouches_for_are_talked_to() {
    let (authority, other) = (Authority::generate(), Authority::generate());
    let mut site = Site::new(tls(&authority.certificate("127.0.0.1"), None), &[]).await;
    let trusting = |scheme, authority: &Authority| NatsSettings {
        authorities: Some(authority.file()),
        ..site.settings(scheme, "")
    };
    let unreachable = "queue_unwritable";
    site.refuses(&trusting("tls", &other), unreachable, "invalid peer certificate").await;
    site.refuses(&site.settings("tls", ""), unreachable, "invalid peer certificate").await;
    site.refuses(&site.settings("nats", ""), unreachable, "invalid peer certificate").await;
    let (encrypted, demanded) = (trusting("tls", &authority), trusting("nats", &authority));
    site.lets_in(&encrypted).await;
    site.lets_in(&demanded).await;

    let elsewhere = Site::new(tls(&authority.certificate("nats.test"), None), &[]).await;
    let servers = elsewhere.settings("tls", "").servers;
    let elsewhere_settings = NatsSettings { servers, ..encrypted.clone() };
    elsewhere.refuses(&elsewhere_settings, unreachable, "invalid peer certificate").await;

    // One without TLS gets no password, where the settings speak of it.
    let plain = Site::new(String::new(), &["s3cret"]).await;
    let servers = plain.settings("nats", "me:s3cret@").servers;
    plain.refuses(&NatsSettings { servers, ..demanded }, unreachable, "no connection").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_a_certificate_gets_one() {
    let (authority, other) = (Authority::generate(), Authority::generate());
    let config = tls(&authority.certificate("127.0.0.1"), Some(&authority));
    let (ours, theirs) = (authority.certificate("agent"), other.certificate("agent"));
    let key = std::fs::read_to_string(&ours.key).unwrap();
    let mut site = Site::new(config, &[key.lines().nth(1).unwrap()]).await;
    let showing = |certificate| NatsSettings {
        authorities: Some(authority.file()),
        certificate,
        ..site.settings("tls", "")
    };
    let (right, nothing, foreign) =
        (showing(Some(ours.clone())), showing(None), showing(Some(theirs.clone())));
    site.refuses(&nothing, "queue_unwritable", "no connection").await;
    site.refuses(&foreign, "queue_unwritable", "no connection").await;
    let pair = |certificate: &std::path::Path, key: &std::path::Path| {
        showing(Some(CertificateFiles { certificate: certificate.to_owned(), key: key.to_owned() }))
    };
    let absent = std::path::Path::new("/nowhere/x.pem");
    for (wrong, setting) in [
        (
            pair(&ours.certificate, &theirs.key),
            "REGENT_QUEUE_KEY: can't be used together with REGENT_QUEUE_CERT",
        ),
        (pair(&ours.certificate, &ours.certificate), "REGENT_QUEUE_KEY: "),
        (pair(&ours.key, &ours.key), "REGENT_QUEUE_CERT: "),
        (pair(absent, &ours.key), "REGENT_QUEUE_CERT: /nowhere/x.pem"),
        (pair(&ours.certificate, absent), "REGENT_QUEUE_KEY: /nowhere/x.pem"),
        (NatsSettings { authorities: Some(ours.key.clone()), ..right.clone() }, "REGENT_QUEUE_CA: "),
        (
            NatsSettings { authorities: Some(absent.to_owned()), ..right.clone() },
            "REGENT_QUEUE_CA: /nowhere/x.pem",
        ),
    ] {
        site.refuses(&wrong, "setting_invalid", setting).await;
    }
    site.lets_in(&right).await;
}
