//! `export_driver!`: what a library shows to the world.

pub(crate) mod meta;

/// Makes the crate's driver loadable.
///
/// ```
/// # mod harbor {
/// # use regent_plugin_api::{Access, Authorization, Driver, Error, Host, Page, PageRequest, Result, Settings, Validation};
/// # use regent_plugin_api::oci::{RepositoryName, Tag};
/// # struct Harbor;
/// # impl Driver for Harbor {
/// #     fn connect(_: Settings, _: Host) -> Result<Self> { Ok(Self) }
/// #     async fn validate(&self) -> Result<Validation> { Err(Error::unsupported("it")) }
/// #     async fn repositories(&self, _: PageRequest) -> Result<Page<RepositoryName>> { Err(Error::unsupported("it")) }
/// #     async fn tags(&self, _: &RepositoryName, _: PageRequest) -> Result<Page<Tag>> { Err(Error::unsupported("it")) }
/// #     async fn authorize(&self, _: Access) -> Result<Authorization> { Err(Error::unsupported("it")) }
/// # }
/// regent_plugin_api::export_driver! {
///     Harbor,
///     name: "harbor",
///     summary: "Harbor 2.0 and later",
///     types: ["harbor-cr", "HarborCR"],
///     settings: [
///         { name: "registryBase", required: true, secret: false, help: "host of the registry" },
///         { name: "password", required: true, secret: true, help: "the robot account's secret" },
///     ],
///     egress: ["*.example.com"],
///     env: ["EXAMPLE_TOKEN"],
///     capabilities: ["content"],
/// }
/// # }
/// ```
///
/// The first type is the canonical one. `settings`, `egress`, `env` and `capabilities` may be left out, in this order;
/// what they mean stands at [`Description`](crate::Description). All strings are literals without `"`, `\` and control
/// characters; the name is lower case letters, digits and hyphens. This is checked as the driver compiles.
///
/// The macro defines
/// - `DRIVER`, a [`NativeDriver`](crate::NativeDriver), for tests and for programs that link the driver in;
/// - the description as JSON in the section `.regent.meta`, as symbol `regent_driver_meta_v1.<name>`;
/// - the entry point, as symbol `regent_driver_root_v1.<name>`.
///
/// The symbols carry the driver's name, so that several drivers can be linked into one test binary; one library holds
/// one driver. The crate needs no dependency beyond `regent-plugin-api` for it, and compiles under
/// `#![forbid(unsafe_code)]`.
#[macro_export]
macro_rules! export_driver {
    (
        $driver:ty,
        name: $name:literal,
        summary: $summary:literal,
        types: [$($type:literal),+ $(,)?]
        $(, settings: [$({
            name: $setting:literal, required: $required:literal, secret: $secret:literal, help: $help:literal $(,)?
        }),* $(,)?])?
        $(, egress: [$($egress:literal),* $(,)?])?
        $(, env: [$($env:literal),* $(,)?])?
        $(, capabilities: [$($capability:literal),* $(,)?])?
        $(,)?
    ) => {
        #[cfg(panic = "abort")]
        ::core::compile_error!("a driver's panics must be catchable: build it with panic = \"unwind\"");

        /// The driver, linked in.
        pub static DRIVER: $crate::NativeDriver = {
            const META: $crate::__private::Meta = $crate::__private::Meta {
                name: $name,
                version: ::core::env!("CARGO_PKG_VERSION"),
                summary: $summary,
                types: &[$($type),+],
                settings: &[$($($crate::__private::MetaSetting {
                    name: $setting,
                    required: $required,
                    secret: $secret,
                    help: $help,
                }),*)?],
                egress: &[$($($egress),*)?],
                env: &[$($($env),*)?],
                capabilities: &[$($($capability),*)?],
            };
            const LEN: usize = META.json_len();

            // Both `used` and exported: older linkers collect what is only `used`.
            #[used]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__regent_meta"))]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".regent.meta"))]
            #[unsafe(export_name = ::core::concat!("regent_driver_meta_v1.", $name))]
            static SECTION: [u8; LEN] = META.json();

            #[used]
            #[unsafe(export_name = ::core::concat!("regent_driver_root_v1.", $name))]
            static ROOT: $crate::__private::LibHeader = $crate::__private::root::<$driver>();

            $crate::NativeDriver::new::<$driver>(
                $crate::__private::text(&SECTION),
                ::core::env!("CARGO_CRATE_NAME"),
            )
        };
    };
}
