//! Layers of the kinds that images are made of. Sizes are of the tar, in bytes, about.

use std::fmt::Write as _;

use crate::image::Layer;
use crate::zip::Zip;

use super::chunked::go_program;
use super::content::Content;

const MIB: usize = 1 << 20;
const TAKES_ALL: &str = "a String takes everything";

/// What `apt-get` leaves: the database of so many packages with the lists of their files, documents, libraries, programs.
pub fn debian(content: &mut Content, n_packages: usize, n_bytes: usize) -> Layer {
    let mut status = String::new();
    let mut layer = Layer::new();
    for i in 0..n_packages {
        let version = format!("{}.{}.{}-{}", content.below(9), content.below(30), content.below(90), i % 7);
        write!(
            status,
            "Package: package-{i}\nStatus: install ok installed\nPriority: optional\nSection: libs\n\
             Installed-Size: {}\nMaintainer: Somebody <somebody@example.org>\nArchitecture: amd64\n\
             Source: source-{}\nVersion: {version}\nDepends: package-{} (>= 1.0), package-{}\n\
             Description: {}\n\n",
            content.below(90_000),
            i / 2,
            i / 3,
            i / 5,
            String::from_utf8_lossy(&content.text(300)).replace('\n', " "),
        )
        .expect(TAKES_ALL);
        let n_list = content.size(200, 20_000);
        layer = layer
            .file(&format!("var/lib/dpkg/info/package-{i}.list"), content.text(n_list))
            .file(&format!("var/lib/dpkg/info/package-{i}.md5sums"), content.text(n_list))
            .file(&format!("usr/share/doc/package-{i}/copyright"), content.text(4000))
            .file(&format!("usr/share/doc/package-{i}/changelog.Debian.gz"), content.packed(2500));
    }
    layer = layer
        .file("usr/lib/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\nVERSION_ID=\"12\"\n")
        .symlink("etc/os-release", "../usr/lib/os-release")
        .file("var/lib/dpkg/status", status);
    let mut i = 0;
    while layer.n_bytes() < n_bytes {
        let size = content.size(8 << 10, 2 * MIB);
        layer = match i % 5 {
            0 => layer.program(&format!("usr/bin/program-{i}"), elf(content, size / 4)),
            1 => layer.file(&format!("usr/share/locale/l{i}/text.mo"), content.text(size / 8)),
            2 => layer.file(&format!("usr/share/icons/i{i}.png"), content.packed(size / 16)),
            _ => layer.file(&format!("usr/lib/x86_64-linux-gnu/lib{i}.so.1"), elf(content, size)),
        };
        i += 1;
    }
    layer
}

/// Runtimes of languages: few and large files.
pub fn runtimes(content: &mut Content, n_bytes: usize) -> Layer {
    let mut layer = Layer::new();
    let of = |percent: usize| n_bytes / 100 * percent;
    for (name, percent) in
        [("usr/local/bin/node", 35), ("usr/lib/jvm/17/lib/server/libjvm.so", 12), ("usr/bin/php8.2", 8)]
    {
        layer = layer.program(name, elf(content, of(percent)));
    }
    layer = layer.file("usr/lib/jvm/17/lib/modules", content.packed(of(20)));
    let mut i = 0;
    while layer.n_bytes() < n_bytes {
        let size = content.size(2 << 10, 60 << 10);
        layer = layer.file(&format!("usr/share/php/part-{}/file-{i}.php", i % 31), content.text(size));
        i += 1;
    }
    layer
}

/// Weights of a model: one file that does not compress.
pub fn model(content: &mut Content, n_bytes: usize) -> Layer {
    let name = format!("srv/models/{}.safetensors", content.below(1 << 30));
    Layer::new().file(&name, content.packed(n_bytes))
}

/// An application with its `node_modules`: many small files.
pub fn npm(content: &mut Content, n_bytes: usize) -> Layer {
    let mut layer = Layer::new().file(
        "app/package.json",
        r#"{"name":"app","version":"1.0.0","dependencies":{"package-0":"^1.0.0"}}"#,
    );
    let mut locked = String::new();
    let mut i = 0;
    while layer.n_bytes() < n_bytes {
        let (folder, version) = (format!("app/node_modules/package-{i}"), format!("1.{}.{}", i % 9, i % 7));
        let comma = if i == 0 { "" } else { "," };
        write!(locked, r#"{comma}"node_modules/package-{i}":{{"version":"{version}"}}"#).expect(TAKES_ALL);
        let own =
            format!(r#"{{"name":"package-{i}","version":"{version}","license":"MIT","main":"index.js"}}"#);
        layer = layer.file(&format!("{folder}/package.json"), own);
        let n_readme = content.size(500, 12_000);
        layer = layer.file(&format!("{folder}/README.md"), content.text(n_readme));
        for j in 0..2 + content.below(20) {
            let size = content.size(300, 40_000);
            layer = layer.file(&format!("{folder}/lib/module-{j}.js"), content.text(size));
        }
        i += 1;
    }
    let lock = format!(
        r#"{{"name":"app","version":"1.0.0","lockfileVersion":3,"packages":{{"":{{"name":"app","version":"1.0.0"}},{locked}}}}}"#
    );
    layer.file("app/package-lock.json", lock)
}

/// Installed Python packages: small files and some libraries.
pub fn pip(content: &mut Content, n_bytes: usize) -> Layer {
    let mut layer = Layer::new();
    let mut i = 0;
    while layer.n_bytes() < n_bytes {
        let folder = "usr/local/lib/python3.11/site-packages";
        let own = format!("Metadata-Version: 2.1\nName: package-{i}\nVersion: 2.{}.0\n\n", i % 40);
        layer = layer
            .file(&format!("{folder}/package_{i}-2.{}.0.dist-info/METADATA", i % 40), own)
            .file(&format!("{folder}/package_{i}-2.{}.0.dist-info/RECORD", i % 40), content.text(9000));
        for j in 0..3 + content.below(40) {
            let size = content.size(500, 60_000);
            let file = format!("{folder}/package_{i}/module_{j}");
            layer = layer
                .file(&format!("{file}.py"), content.text(size))
                .file(&format!("{file}.cpython-311.pyc"), content.code(size * 3 / 4));
        }
        if i % 8 == 0 {
            let size = content.size(100 << 10, 8 * MIB);
            layer = layer.file(&format!("{folder}/package_{i}/native.so"), elf(content, size));
        }
        i += 1;
    }
    layer
}

/// Java archives.
pub fn jars(content: &mut Content, n_bytes: usize) -> Layer {
    let mut layer = Layer::new();
    let mut i = 0;
    while layer.n_bytes() < n_bytes {
        let properties = format!("groupId=org.example\nartifactId=artifact-{i}\nversion=1.{}.0\n", i % 60);
        let place = format!("META-INF/maven/org.example/artifact-{i}/pom.properties");
        let mut jar = Zip::new()
            .stored("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\n\n")
            .deflated(&place, properties.as_bytes());
        for j in 0..content.size(20, 800) {
            let size = content.size(400, 9000);
            jar = jar.stored(&format!("org/example/a{i}/Class{j}.class"), &content.packed(size));
        }
        layer = layer.file(&format!("opt/app/lib/artifact-{i}-1.{}.0.jar", i % 60), jar.build());
        i += 1;
    }
    layer
}

/// Programs in Go: few and large.
pub fn go(content: &mut Content, n_bytes: usize) -> Layer {
    let mut layer = Layer::new();
    let mut i = 0;
    while layer.n_bytes() < n_bytes {
        let mut program = go_program(&format!("example.org/module-{i}"));
        let size = content.size(n_bytes / 8, n_bytes / 3);
        program.extend(content.code(size));
        layer = layer.program(&format!("usr/local/bin/tool-{i}"), program);
        i += 1;
    }
    layer
}

/// A program or library of no language that is looked for.
fn elf(content: &mut Content, n_bytes: usize) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(64, 0);
    file[16] = 3;
    file.extend(content.code(n_bytes));
    file
}
