//! Every driver against its vendor's emulator: the shared suite.

use regent_tests::{all_vendors, vendor_suite};

macro_rules! suites {
    ($($name:ident: $scene:ty),*) => { $(vendor_suite!($name, $scene);)* };
}

all_vendors!(suites);
vendor_suite!(
vendor_suite!(acr, regent_tests::vendor::acr::AcrScene);
vendor_suite!(digitalocean, regent_tests::vendor::digitalocean::DigitaloceanScene);
vendor_suite!(docker_hub, regent_tests::vendor::docker_hub::DockerHubScene);
vendor_suite!(ecr, regent_tests::vendor::ecr::EcrScene);
vendor_suite!(gcr, regent_tests::vendor::google::ContainerRegistryScene);
vendor_suite!(github, regent_tests::vendor::github::GithubScene);
vendor_suite!(gitlab, regent_tests::vendor::gitlab::GitlabScene);
vendor_suite!(google_artifact, regent_tests::vendor::google::GoogleArtifactScene);
vendor_suite!(harbor, regent_tests::vendor::harbor::scene::HarborScene);
vendor_suite!(nexus, regent_tests::vendor::nexus::scene::NexusScene);
vendor_suite!(nexus_connector, regent_tests::vendor::nexus::scene::NexusConnectorScene);
vendor_suite!(quay, regent_tests::vendor::quay::QuayScene);
    artifactory,
    regent_tests::vendor::artifactory::ArtifactoryScene<regent_tests::vendor::artifactory::ByPath>
);
    artifactory_by_subdomain,
    regent_tests::vendor::artifactory::ArtifactoryScene<regent_tests::vendor::artifactory::BySubdomain>
);
    artifactory_by_server,
    regent_tests::vendor::artifactory::ArtifactoryScene<regent_tests::vendor::artifactory::ByServer>
);
