//! The chart, rendered by the real helm and held against the schemas of Kubernetes.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use serde_json::Value;

use crate::artifacts::{tools, workspace};

/// What a release of the chart is made of.
#[derive(Debug)]
pub struct Rendered {
    objects: Vec<Value>,
}

/// A secret of the cluster by name: keys and values.
pub type Secrets = BTreeMap<String, BTreeMap<String, String>>;

fn chart() -> PathBuf {
    workspace().join("deploy/helm/regent")
}

/// Runs helm on the chart with one of `tests/helm/values`, or with its own values alone, and further arguments.
///
/// # Panics
/// When helm is not there.
pub fn helm(command: &[&str], values: Option<&str>, arguments: &[&str]) -> Output {
    let program = tools().join("helm/bin/helm");
    let mut helm = Command::new(&program);
    helm.args(command).arg(chart());
    if let Some(values) = values {
        helm.arg("--values").arg(workspace().join(format!("tests/helm/values/{values}.yaml")));
    }
    helm.args(arguments).env_clear().env("HOME", "/nonexistent");
    helm.output().unwrap_or_else(|e| {
        panic!("{} can't be started ({e}); `cargo xtask test` installs it", program.display())
    })
}

impl Rendered {
    /// The chart as `helm template` renders it.
    ///
    /// # Panics
    /// When helm has something to say against the chart or the values, or the schemas against what came of it.
    pub fn new(values: Option<&str>, arguments: &[&str]) -> Self {
        let checked = |output: Output| {
            let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
            assert!(output.status.success(), "{values:?}: {}", String::from_utf8_lossy(&said));
            output.stdout
        };
        checked(helm(&["lint", "--strict"], values, arguments));
        let manifests = checked(helm(&["template", "agent"], values, arguments));
        let mut validator = Command::new(tools().join("helm/bin/python"))
            .arg(workspace().join("tests/helm/manifests.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        validator.stdin.take().unwrap().write_all(&manifests).unwrap();
        let objects = checked(validator.wait_with_output().unwrap());
        Self { objects: serde_json::from_slice(&objects).unwrap() }
    }

    /// The objects of a kind.
    pub fn all(&self, kind: &str) -> Vec<&Value> {
        self.objects.iter().filter(|object| object["kind"] == kind).collect()
    }

    /// The deployment.
    ///
    /// # Panics
    /// When there is none.
    pub fn deployment(&self) -> &Value {
        self.all("Deployment")[0]
    }

    /// The specification of the pod.
    pub fn pod(&self) -> &Value {
        &self.deployment()["spec"]["template"]["spec"]
    }

    /// Its container.
    pub fn container(&self) -> &Value {
        &self.pod()["containers"][0]
    }

    /// Names of the variables that it sets.
    ///
    /// # Panics
    /// When it sets one twice.
    pub fn variables(&self) -> Vec<&str> {
        let list = self.container()["env"].as_array().unwrap();
        let mut names: Vec<&str> = list.iter().map(|one| one["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|two| two[0] != two[1]), "a variable is set twice: {names:?}");
        names
    }

    /// The secrets that there are once the chart is installed beside the operator's own.
    pub fn secrets(&self, mut of_operator: Secrets) -> Secrets {
        for secret in self.all("Secret") {
            let decoded = secret["data"].as_object().unwrap().iter().map(|(key, value)| {
                let value = base64::prelude::BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap();
                (key.clone(), String::from_utf8(value).unwrap())
            });
            let name = secret["metadata"]["name"].as_str().unwrap().to_owned();
            of_operator.insert(name, decoded.collect());
        }
        of_operator
    }

    /// The variables of the container, as the kubelet gives them.
    ///
    /// # Panics
    /// When a secret that is referred to is not there.
    pub fn environment(&self, secrets: &Secrets) -> Vec<(String, String)> {
        let value = |one: &Value| {
            if let Some(value) = one["value"].as_str() {
                return value.to_owned();
            }
            let from = &one["valueFrom"]["secretKeyRef"];
            let (name, key) = (from["name"].as_str().unwrap(), from["key"].as_str().unwrap());
            secrets.get(name).and_then(|secret| secret.get(key)).unwrap_or_else(|| panic!("{one}")).clone()
        };
        let list = self.container()["env"].as_array().unwrap();
        list.iter().map(|one| (one["name"].as_str().unwrap().to_owned(), value(one))).collect()
    }

    /// The volumes of the container: where each is, and the files of those that are secrets.
    ///
    /// # Panics
    /// When one is mounted that there is not, or a secret is not there.
    pub fn volumes(&self, secrets: &Secrets) -> Vec<(String, BTreeMap<String, String>)> {
        let volumes = self.pod()["volumes"].as_array().unwrap();
        let mounted = |mount: &Value| {
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
            let files = volume["secret"]["secretName"]
                .as_str()
                .map(|name| secrets.get(name).unwrap_or_else(|| panic!("there is no secret {name}")).clone());
            (mount["mountPath"].as_str().unwrap().to_owned(), files.unwrap_or_default())
        };
        self.container()["volumeMounts"].as_array().unwrap().iter().map(mounted).collect()
    }
}
