//! Google Container Registry: `gcr.io`, `us.gcr.io`, `eu.gcr.io`, `asia.gcr.io`.
//!
//! The registry was shut down in 2025. Its names live on: each host is one repository of Artifact Registry in each
//! project, so that what is listed, and how, is shared with the driver for that (`regent-google`).

#![forbid(unsafe_code)]

use regent_google::{Gcr, GoogleDriver};

regent_plugin_api::export_driver! {
    GoogleDriver<Gcr>,
    name: "gcr",
    summary: "Google Container Registry: gcr.io names, which Artifact Registry serves today",
    types: ["gcr", "GoogleCR"],
    settings: [
        { name: "registryBase", required: true, secret: false, help: "[us.|eu.|asia.]gcr.io[/project[/image]]; the project of the key if there is none" },
        { name: "username", required: true, secret: false, help: "_json_key for a service account's key, oauth2accesstoken for an access token" },
        { name: "password", required: true, secret: true, help: "the key: its JSON, or base64 of that; or the access token" },
    ],
    egress: ["gcr.io", "artifactregistry.googleapis.com", "oauth2.googleapis.com"],
}
