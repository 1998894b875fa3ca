//! Google Artifact Registry: `LOCATION-docker.pkg.dev`.
//!
//! What is listed, and how, is shared with the driver for Container Registry's old names (`regent-google`).

#![forbid(unsafe_code)]

use regent_google::{Gar, GoogleDriver};

regent_plugin_api::export_driver! {
    GoogleDriver<Gar>,
    name: "google-artifact",
    summary: "Google Artifact Registry: LOCATION-docker.pkg.dev",
    types: ["google-artifact-cr", "GoogleArtifactCR"],
    settings: [
        { name: "registryBase", required: true, secret: false, help: "LOCATION-docker.pkg.dev[/project[/repository[/image]]]; the project of the key if there is none" },
        { name: "username", required: true, secret: false, help: "_json_key for a service account's key, oauth2accesstoken for an access token" },
        { name: "password", required: true, secret: true, help: "the key: its JSON, or base64 of that; or the access token" },
    ],
    egress: ["artifactregistry.googleapis.com", "oauth2.googleapis.com"],
}
