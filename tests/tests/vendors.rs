//! Every driver against its vendor's emulator: the shared suite.

use regent_tests::vendor_suite;

vendor_suite!(acr, regent_tests::vendor::acr::AcrScene);
vendor_suite!(
    artifactory,
    regent_tests::vendor::artifactory::ArtifactoryScene<regent_tests::vendor::artifactory::ByPath>
);
vendor_suite!(
    artifactory_by_subdomain,
    regent_tests::vendor::artifactory::ArtifactoryScene<regent_tests::vendor::artifactory::BySubdomain>
);
vendor_suite!(
    artifactory_by_server,
    regent_tests::vendor::artifactory::ArtifactoryScene<regent_tests::vendor::artifactory::ByServer>
);
vendor_suite!(digitalocean, regent_tests::vendor::digitalocean::DigitaloceanScene);
vendor_suite!(docker_hub, regent_tests::vendor::docker_hub::DockerHubScene);
vendor_suite!(harbor, regent_tests::vendor::harbor::scene::HarborScene);
vendor_suite!(nexus, regent_tests::vendor::nexus::scene::NexusScene);
vendor_suite!(nexus_connector, regent_tests::vendor::nexus::scene::NexusConnectorScene);
vendor_suite!(quay, regent_tests::vendor::quay::QuayScene);
vendor_suite!(ecr, regent_tests::vendor::ecr::EcrScene);
vendor_suite!(gcr, regent_tests::vendor::google::ContainerRegistryScene);
vendor_suite!(google_artifact, regent_tests::vendor::google::GoogleArtifactScene);
