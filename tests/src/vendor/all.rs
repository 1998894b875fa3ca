//! The vendors, all of them.

/// Hands all vendors to a macro: the module of each in `regent_tests::vendor`, which is also its name, and its scene.
#[macro_export]
macro_rules! all_vendors {
    ($callback:ident) => {
        $callback! {
            digitalocean: DigitaloceanScene,
            docker_hub: DockerHubScene,
            ecr: EcrScene,
            quay: QuayScene
        }
    };
}
