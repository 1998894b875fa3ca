//! An image with something of each ecosystem.

use regent_tests::image::{Layer, debian_layer};
use regent_tests::zip::Zip;
use serde_json::json;

/// Its layers: the distribution, its packages, applications, and programs.
pub(crate) fn layers() -> Vec<Layer> {
    vec![debian_layer(), packages(), locked(), installed()]
}

/// Debian's packages with licences, architectures, one that is removed, and names that JSON and URLs must encode.
fn packages() -> Layer {
    Layer::new()
        .file(
            "var/lib/dpkg/status",
            "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nSource: glibc\n\
             Version: 2.36-9+deb12u5\n\n\
             Package: libc6\nStatus: install ok installed\nArchitecture: i386\nSource: glibc\nVersion: 2.36-9+deb12u5\n\n\
             Package: libstdc++6\nStatus: install ok installed\nArchitecture: amd64\nSource: gcc-12 (12.2.0-14)\n\
             Version: 1:12.2.0-14\nDepends: libc6 (>= 2.36)\n\n\
             Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n",
        )
        .file(
            "usr/share/doc/libc6/copyright",
            "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\n\
             Copyright: 1991 FSF\nLicense: LGPL-2.1+\n\nFiles: sunrpc/*\nLicense: Sun RPC\n Text\n",
        )
}

/// The hash of nothing, as lock files write it.
const INTEGRITY: &str =
    "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==";

/// Lock files and manifests.
fn locked() -> Layer {
    Layer::new()
        .file("srv/php/composer.json", r#"{"name": "example/shop", "require": {"monolog/monolog": "^3.0"}}"#)
        .file(
            "srv/php/composer.lock",
            r#"{"packages": [
                {"name": "monolog/monolog", "version": "3.5.0", "license": ["MIT"], "require": {"psr/log": "^3.0"},
                 "dist": {"type": "zip", "url": "https://example.com/monolog.zip", "shasum": ""}},
                {"name": "psr/log", "version": "3.0.0", "license": ["MIT", "A licence of its own"]}
            ], "packages-dev": []}"#,
        )
        .file(
            "srv/node/package.json",
            r#"{"name": "shop", "version": "1.0.0", "dependencies": {"@types/node": "20.1.0"}}"#,
        )
        .file(
            "srv/node/package-lock.json",
            json!({"name": "shop", "version": "1.0.0", "lockfileVersion": 3, "packages": {
                "": {"name": "shop", "version": "1.0.0", "dependencies": {"@types/node": "20.1.0"}},
                "node_modules/@types/node": {
                    "version": "20.1.0", "integrity": INTEGRITY, "dependencies": {"undici-types": "*"}},
                "node_modules/undici-types": {"version": "5.26.5"},
            }})
            .to_string(),
        )
        .file(
            "srv/ruby/Gemfile.lock",
            "GEM\n  remote: https://rubygems.org/\n  specs:\n    rack (3.0.8)\n    rack-session (2.0.0)\n      \
             rack (>= 3.0.0)\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n  rack-session\n\nCHECKSUMS\n  rack (3.0.8) \
             sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
        )
        .file(
            "srv/rust/Cargo.lock",
            "version = 3\n\n[[package]]\nname = \"memchr\"\nversion = \"2.7.4\"\n\
             source = \"registry+https://github.com/rust-lang/crates.io-index\"\n\
             checksum = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n\n\
             [[package]]\nname = \"tool\"\nversion = \"0.2.0\"\ndependencies = [\"memchr\"]\n",
        )
        .file(
            "srv/elixir/mix.lock",
            r#"%{
  "cowboy": {:hex, :cowboy, "2.9.0", "86", [:make], [{:cowlib, "2.11.0", [hex: :cowlib]}], "hexpm", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
  "cowlib": {:hex, :cowlib, "2.11.0", "0b", [:make], [], "hexpm", ""},
}
"#,
        )
        .file(
            "srv/swift/Package.resolved",
            r#"{"pins": [{"identity": "alamofire", "kind": "remoteSourceControl",
                "location": "https://github.com/Alamofire/Alamofire.git", "state": {"version": "5.4.3"}}], "version": 2}"#,
        )
        .file(
            "srv/net/shop.deps.json",
            json!({
                "runtimeTarget": {"name": ".NETCoreApp,Version=v8.0"},
                "targets": {".NETCoreApp,Version=v8.0": {
                    "shop/1.0.0": {"dependencies": {"Dapper": "2.1.24"}},
                    "Dapper/2.1.24": {"dependencies": {"System.Memory": "4.5.5"}},
                    "System.Memory/4.5.5": {},
                }},
                "libraries": {
                    "shop/1.0.0": {"type": "project", "sha512": ""},
                    "Dapper/2.1.24": {"type": "package", "sha512": INTEGRITY},
                    "System.Memory/4.5.5": {"type": "package", "sha512": ""},
                },
            })
            .to_string(),
        )
        .file("srv/bad/composer.json", "{")
        .file("srv/bad/composer.lock", "{}")
}

/// What is installed, and programs.
fn installed() -> Layer {
    let site = "usr/lib/python3/site-packages";
    Layer::new()
        .file("srv/py/requirements.txt", "Werkzeug==3.0.1\n")
        .file(
            &format!("{site}/Werkzeug-3.0.1.dist-info/METADATA"),
            "Metadata-Version: 2.1\nName: Werkzeug\nVersion: 3.0.1\nLicense-Expression: BSD-3-Clause\n\
             Requires-Dist: MarkupSafe>=2.1.1\n\nText.\n",
        )
        .file(
            &format!("{site}/MarkupSafe-2.1.3.dist-info/METADATA"),
            "Metadata-Version: 2.1\nName: MarkupSafe\nVersion: 2.1.3\nLicense: BSD-3-Clause\n\nText.\n",
        )
        .file(
            "opt/conda/conda-meta/zlib-1.3.1-0.json",
            json!({
                "name": "zlib", "version": "1.3.1", "build": "0", "subdir": "linux-64", "license": "Zlib",
                "md5": "d41d8cd98f00b204e9800998ecf8427e", "depends": ["libzlib 1.3.1"],
            })
            .to_string(),
        )
        .file("opt/conda/conda-meta/libzlib-1.3.1-0.json", r#"{"name": "libzlib", "version": "1.3.1"}"#)
        .file("srv/java/shop-3.1.0.jar", shop_jar())
        .file("usr/local/bin/tool", go_program())
}

fn pom(artifact: &str, version: &str) -> String {
    format!("groupId=com.acme\nartifactId={artifact}\nversion={version}\n")
}

fn shop_jar() -> Vec<u8> {
    let manifest = "Manifest-Version: 1.0\r\nBundle-License: Apache-2.0\r\n\r\n";
    let leaf =
        Zip::new().stored("META-INF/maven/com.acme/leaf/pom.properties", pom("leaf", "1.0").as_bytes());
    Zip::new()
        .stored("META-INF/MANIFEST.MF", manifest.as_bytes())
        .stored("META-INF/maven/com.acme/shop/pom.properties", pom("shop", "3.1.0").as_bytes())
        .stored("BOOT-INF/lib/leaf-1.0.jar", &leaf.build())
        .build()
}

/// An executable with one segment, which holds Go's build information.
fn go_program() -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    header.extend([0_u64, 64, 0].map(u64::to_le_bytes).concat()); // entry, segments, sections
    header.extend([0; 4]);
    header.extend([64_u16, 56, 1, 64, 0, 0].map(u16::to_le_bytes).concat());
    let text = "a mark before itpath\texample.org/tool\nmod\texample.org/tool\tv0.3.0\th1:x=\n\
                dep\tgithub.com/BurntSushi/toml\tv1.3.2\th1:y=\nand 1 behind it.";
    let mut info = b"\xff Go buildinf:\x08\x02".to_vec();
    info.resize(32, 0);
    for text in ["go1.22.1", text] {
        // A length of up to 14 bits, the low ones first.
        let length = u16::try_from(text.len()).unwrap();
        info.extend([(length & 0x7f | 0x80).to_le_bytes()[0], (length >> 7).to_le_bytes()[0]]);
        info.extend(text.as_bytes());
    }
    let length = info.len() as u64;
    header.extend([1_u32, 6].map(u32::to_le_bytes).concat()); // loaded, writable
    header.extend([128, 0x1000, 0x1000, length, length, 16].map(u64::to_le_bytes).concat());
    header.resize(128, 0);
    [header, info].concat()
}
