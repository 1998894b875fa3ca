//! What documents have to say of the image with something of each ecosystem.

/// What both documents have to say of a package.
pub(crate) struct Package {
    pub(crate) purl: &'static str,
    /// As they are declared; a text that is no identifier stands as it is.
    pub(crate) licenses: &'static [&'static str],
    /// With its algorithm as CycloneDX calls it.
    pub(crate) hash: Option<(&'static str, &'static str)>,
    pub(crate) layer: usize,
    pub(crate) depends: &'static [&'static str],
}

/// Of nothing, by three algorithms.
const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const SHA512: &str = "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
                      47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";

/// SHA-1 of the image's two archives.
const LEAF_JAR: &str = "ca3c81b58365ea3759ffb11f8d4e32ebefdb0faf";
const SHOP_JAR: &str = "2011801eac1faaaa893e2a853bed7dedc8c0c1fa";

const LIBC: &str = "pkg:deb/debian/libc6@2.36-9%2Bdeb12u5?arch=amd64&distro=debian-12&upstream=glibc";
const LIBC_I386: &str = "pkg:deb/debian/libc6@2.36-9%2Bdeb12u5?arch=i386&distro=debian-12&upstream=glibc";

fn package(
    purl: &'static str,
    licenses: &'static [&'static str],
    hash: Option<(&'static str, &'static str)>,
    layer: usize,
    depends: &'static [&'static str],
) -> Package {
    Package { purl, licenses, hash, layer, depends }
}

/// All packages of the image with something of each ecosystem, in the order of the documents.
pub(crate) fn packages() -> Vec<Package> {
    vec![
        package(LIBC, &["LGPL-2.1-or-later", "Sun RPC"], None, 1, &[]),
        package(LIBC_I386, &["LGPL-2.1-or-later", "Sun RPC"], None, 1, &[]),
        package(
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14?arch=amd64&distro=debian-12&upstream=gcc-12%4012.2.0-14",
            &[],
            None,
            1,
            &[LIBC],
        ),
        package("pkg:cargo/memchr@2.7.4", &[], Some(("SHA-256", SHA256)), 2, &[]),
        package("pkg:cargo/tool@0.2.0", &[], None, 2, &["pkg:cargo/memchr@2.7.4"]),
        package("pkg:composer/monolog/monolog@3.5.0", &["MIT"], None, 2, &["pkg:composer/psr/log@3.0.0"]),
        package("pkg:composer/psr/log@3.0.0", &["MIT OR (A licence of its own)"], None, 2, &[]),
        package("pkg:conda/libzlib@1.3.1", &[], None, 3, &[]),
        package(
            "pkg:conda/zlib@1.3.1?build=0&subdir=linux-64",
            &["Zlib"],
            Some(("MD5", MD5)),
            3,
            &["pkg:conda/libzlib@1.3.1"],
        ),
        package("pkg:gem/rack@3.0.8", &[], Some(("SHA-256", SHA256)), 2, &[]),
        package("pkg:gem/rack-session@2.0.0", &[], None, 2, &["pkg:gem/rack@3.0.8"]),
        package("pkg:golang/stdlib@1.22.1", &[], None, 3, &[]),
        package(
            "pkg:golang/example.org/tool@v0.3.0",
            &[],
            None,
            3,
            &["pkg:golang/stdlib@1.22.1", "pkg:golang/github.com/BurntSushi/toml@v1.3.2"],
        ),
        package("pkg:golang/github.com/BurntSushi/toml@v1.3.2", &[], None, 3, &[]),
        package("pkg:hex/cowboy@2.9.0", &[], Some(("SHA-256", SHA256)), 2, &["pkg:hex/cowlib@2.11.0"]),
        package("pkg:hex/cowlib@2.11.0", &[], None, 2, &[]),
        package("pkg:maven/com.acme/leaf@1.0", &[], Some(("SHA-1", LEAF_JAR)), 3, &[]),
        package(
            "pkg:maven/com.acme/shop@3.1.0",
            &["Apache-2.0"],
            Some(("SHA-1", SHOP_JAR)),
            3,
            &["pkg:maven/com.acme/leaf@1.0"],
        ),
        package("pkg:npm/undici-types@5.26.5", &[], None, 2, &[]),
        package(
            "pkg:npm/%40types/node@20.1.0",
            &[],
            Some(("SHA-512", SHA512)),
            2,
            &["pkg:npm/undici-types@5.26.5"],
        ),
        package(
            "pkg:nuget/Dapper@2.1.24",
            &[],
            Some(("SHA-512", SHA512)),
            2,
            &["pkg:nuget/System.Memory@4.5.5"],
        ),
        package("pkg:nuget/System.Memory@4.5.5", &[], None, 2, &[]),
        package("pkg:pypi/markupsafe@2.1.3", &["BSD-3-Clause"], None, 3, &[]),
        package("pkg:pypi/werkzeug@3.0.1", &["BSD-3-Clause"], None, 3, &["pkg:pypi/markupsafe@2.1.3"]),
        package("pkg:swift/github.com/Alamofire/Alamofire@5.4.3", &[], None, 2, &[]),
    ]
}
