//! Every driver against its vendor's emulator: the shared suite.

use regent_tests::vendor_suite;

vendor_suite!(digitalocean, regent_tests::vendor::digitalocean::DigitaloceanScene);
vendor_suite!(docker_hub, regent_tests::vendor::docker_hub::DockerHubScene);
vendor_suite!(quay, regent_tests::vendor::quay::QuayScene);
vendor_suite!(ecr, regent_tests::vendor::ecr::EcrScene);
vendor_suite!(gcr, regent_tests::vendor::google::ContainerRegistryScene);
vendor_suite!(google_artifact, regent_tests::vendor::google::GoogleArtifactScene);
