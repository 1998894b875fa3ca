//! Rows of globs and paths.

use proptest::prelude::*;

use super::*;

fn set(include: &[&str], exclude: &[&str]) -> GlobSet {
    let texts = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect::<Vec<_>>();
    GlobSet::new(&texts(include), &texts(exclude)).unwrap()
}

#[test]
fn a_glob_matches_absolute_paths() {
    let rows = [
        ("**/package.json", "/package.json", true),
        ("**/package.json", "/a/b/package.json", true),
        ("**/package.json", "/a/.hidden/package.json", false),
        ("**/package.json", "/a/package.json5", false),
        ("package.json", "/package.json", false),
        ("/package.json", "/package.json", true),
        ("/etc/app/*.conf", "/etc/app/a.conf", true),
        ("/etc/app/*.conf", "/etc/app/sub/a.conf", false),
        ("/etc/app/*.conf", "/etc/app/.conf", false),
        ("/etc/app/.*", "/etc/app/.conf", true),
        ("/etc/**", "/etc/a", true),
        ("/etc/**", "/etc/a/b", true),
        ("/etc/**", "/etc/.a", false),
        ("/etc/**", "/etc", false),
        ("/a/**/b", "/a/b", true),
        ("/a/**/b", "/a/x/y/b", true),
        ("/a/**/.x/**/b", "/a/.x/b", true),
        ("/a/b**", "/a/bc", true),
        ("/a/b**", "/a/b/c", false),
        ("**", "/a/b", true),
        ("/a/?.txt", "/a/b.txt", true),
        ("/a/?.txt", "/a/.txt", false),
        ("/a/[bc].txt", "/a/c.txt", true),
        ("/a/[!bc].txt", "/a/c.txt", false),
        ("/a/[^b-d]x", "/a/ex", true),
        ("/a/[]]x", "/a/]x", true),
        ("/a/[x", "/a/[x", true),
        ("/a/\\*", "/a/*", true),
        ("/a/\\*", "/a/b", false),
        ("/{a,b}/{c,d{e,f}}.x", "/b/df.x", true),
        ("/{a,b}/{c,d{e,f}}.x", "/b/d.x", false),
        ("/a{,b}", "/a", true),
        ("/{a}", "/{a}", true),
        ("/a{1..3}", "/a2", true),
        ("/a{1..3}", "/a4", false),
        ("!/a", "/b", true),
        ("!/a", "/a", false),
        ("#/a", "#/a", false),
        ("**/*a*b*c", "/xxaxxbxxc", true),
        ("**/*a*b*c", "/xxaxxbxx", false),
        ("/ü?", "/üß", true),
    ];
    for (glob, path, expected) in rows {
        assert_eq!(set(&[glob], &[]).matches(path), expected, "{glob} {path}");
    }
}

#[test]
fn an_excluded_file_is_not_found() {
    let set = set(&["**/package.json"], &["**/node_modules/**"]);
    assert!(set.matches("/app/package.json"));
    assert!(!set.matches("/app/node_modules/a/package.json"));
}

#[test]
fn globs_beyond_the_limits_are_refused() {
    let many = vec!["a".to_owned(); MAX_GLOBS];
    assert_eq!(GlobSet::new(&many, &["a".into()]), Err(GlobError::TooMany));
    assert_eq!(GlobSet::new(&["a".repeat(MAX_GLOB_BYTES + 1)], &[]), Err(GlobError::TooLong));
    for bomb in ["{a,b}".repeat(11), "{1..2000}".into(), "{1..2000000000}".into()] {
        assert_eq!(GlobSet::new(&[bomb], &[]), Err(GlobError::TooManyAlternatives));
    }
}

proptest! {
    #[test]
    fn any_text_is_a_glob_and_ends(glob in "[ab/*?{},.\\\\!\\[\\]-]{0,40}", path in "(/[ab.]{1,5}){1,5}") {
        if let Ok(set) = GlobSet::new(&[glob], &[]) {
            set.matches(&path);
        }
    }

    #[test]
    fn a_path_without_special_characters_matches_itself(path in "(/[a-z.]{1,8}){1,5}") {
        prop_assert!(set(&[&path], &[]).matches(&path));
    }
}
