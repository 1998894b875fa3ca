//! Scans by an agent: accepted over HTTP, ended by a callback.

use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent::{Agent, Connection};
use crate::sink::Sink;

use super::Subject;

/// An agent at a registry, with a sink for its callbacks.
#[derive(Debug)]
pub struct Scans {
    /// The agent.
    pub agent: Agent,
    /// The sink.
    pub sink: Sink,
    connection: Connection,
    registry: String,
}

impl Scans {
    /// Starts both; the agent by a command that ends where the arguments of the program begin.
    pub async fn start(
        subject: &Subject,
        command: Command,
        registry: &str,
        data: TempDir,
        environment: &[(&str, &str)],
    ) -> Self {
        let sink = Sink::start().await;
        let url = sink.url();
        let usual =
            [("REGENT_INSECURE_REGISTRIES", registry), ("BROKER_CLIENT_URL", &url), ("LOG_LEVEL", "warn")];
        let environment = [&usual, environment].concat();
        let agent = Agent::start_by(command, &subject.plugins, data, &environment).await;
        let connection = Connection::anonymous("oci-cr", registry);
        Self { agent, sink, connection, registry: registry.to_owned() }
    }

    /// Ends the agent, and starts another one on the same data.
    pub async fn restart(self, subject: &Subject, environment: &[(&str, &str)]) -> Self {
        let data = self.agent.stop().await;
        Self::start(subject, Command::new(&subject.regent), &self.registry, data, environment).await
    }

    /// Has a scan accepted, and returns its operation.
    pub async fn accept(&self, image: &str) -> String {
        let body = json!({ "image": image, "credentials": self.connection.0 });
        let accepted = self.agent.post("/scan", &body).await.expect(202);
        accepted["operationId"].as_str().unwrap().to_owned()
    }

    /// Waits for the end of an operation, and returns what was told of it.
    ///
    /// # Panics
    /// When it has not succeeded.
    pub async fn end(&self, operation: &str) -> Value {
        let done = self.sink.wait_for("/api/v2/import/done", operation).await.body;
        assert_eq!(done["status"], "succeeded", "{done}");
        done
    }

    /// A scan from its acceptance to its end.
    pub async fn scan(&self, image: &str) -> String {
        let operation = self.accept(image).await;
        self.end(&operation).await;
        operation
    }

    /// What an operation has found, without its own name in it.
    pub fn results(&self, operation: &str) -> Vec<String> {
        let all = self.sink.received().into_iter().filter(|callback| callback.path.ends_with("/result"));
        let texts = all.map(|callback| callback.body.to_string()).filter(|text| text.contains(operation));
        texts.map(|text| text.replace(operation, "operation")).collect()
    }

    /// Layer bytes that the agent has read, by its own count.
    pub async fn fetched_bytes(&self) -> u64 {
        self.agent.metric("regent_layer_fetched_bytes_total").await
    }

    /// The agent's process.
    pub fn pid(&mut self) -> i32 {
        self.agent.process().pid().as_raw_nonzero().get()
    }
}
