//! The vendors, all of them.

/// Hands all vendors to a macro, as `name: scene` pairs.
#[macro_export]
macro_rules! all_vendors {
    ($callback:ident) => {
        $callback! {
            acr: $crate::vendor::acr::AcrScene,
            artifactory: $crate::vendor::artifactory::ArtifactoryScene<$crate::vendor::artifactory::ByPath>,
            artifactory_by_subdomain:
                $crate::vendor::artifactory::ArtifactoryScene<$crate::vendor::artifactory::BySubdomain>,
            artifactory_by_server:
                $crate::vendor::artifactory::ArtifactoryScene<$crate::vendor::artifactory::ByServer>,
            digitalocean: $crate::vendor::digitalocean::DigitaloceanScene,
            docker_hub: $crate::vendor::docker_hub::DockerHubScene,
            ecr: $crate::vendor::ecr::EcrScene,
            gcr: $crate::vendor::google::ContainerRegistryScene,
            github: $crate::vendor::github::GithubScene,
            gitlab: $crate::vendor::gitlab::GitlabScene,
            google_artifact: $crate::vendor::google::GoogleArtifactScene,
            harbor: $crate::vendor::harbor::scene::HarborScene,
            nexus: $crate::vendor::nexus::scene::NexusScene,
            nexus_connector: $crate::vendor::nexus::scene::NexusConnectorScene,
            quay: $crate::vendor::quay::QuayScene
        }
    };
}
