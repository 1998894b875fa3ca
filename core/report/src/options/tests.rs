use serde_json::json;

use super::*;

fn parse(options: &Value) -> Result<Options, Error> {
    Options::parse(options.as_object().unwrap())
}

#[test]
fn both_spellings_mean_the_same() {
    let kebab = json!({
        "exclude-app-vulns": "TRUE", "exclude-node-modules": true, "include-system-jars": "true",
        "collect-application-files": "true", "exclude-base-image-vulns": true, "layer-attribution": "true",
        "target-reference": "main", "image-name-and-tag": "a:1", "image-name-and-digest": "a@sha256:0",
        "globs-to-find": {"include": ["**/a", "**/composer.lock"], "exclude": ["b"]},
    });
    let camel = json!({
        "excludeAppVulns": true, "excludeNodeModules": "true", "includeSystemJars": true,
        "collectApplicationFiles": true, "excludeBaseImageVulns": "true", "layerAttribution": true,
        "targetReference": "main", "imageNameAndTag": "a:1", "imageNameAndDigest": "a@sha256:0",
        "globsToFind": {"include": ["**/a"], "exclude": ["b"]},
    });
    let options = parse(&kebab).unwrap();
    assert_eq!(options, parse(&camel).unwrap());
    assert_eq!(options.flags.len(), FLAGS.len());
    assert_eq!(options.image_name, NameOption::Name("a:1".into()));
    assert_eq!(options.globs, GlobSet::new(&["**/a".into()], &["b".into()]).unwrap());
}

#[test]
fn a_switch_is_on_exactly_when_its_text_is_true() {
    let rows = [
        (json!(true), true),
        (json!("true"), true),
        (json!("True"), true),
        (json!(false), false),
        (json!("yes"), false),
        (json!(1), false),
        (json!(null), false),
        (json!(""), false),
    ];
    for (value, on) in rows {
        let options = parse(&json!({ "exclude-app-vulns": value })).unwrap();
        assert_eq!(options.has(Flag::ExcludeAppVulns), on, "{value}");
    }
}

#[test]
fn a_null_name_is_no_name_and_an_absent_one_says_nothing() {
    let name = |options: Value| parse(&options).unwrap().image_name;
    assert_eq!(name(json!({})), NameOption::Absent);
    assert_eq!(name(json!({ "imageNameAndTag": null })), NameOption::NoName);
    assert_eq!(name(json!({ "imageNameAndTag": "" })), NameOption::NoName);
}

#[test]
fn a_depth_is_a_number_that_is_not_negative() {
    const OLD: &str = "--shaded-jars-depth is deprecated, use --nested-jars-depth instead";
    const NON_NUMERIC: &str =
        "Non-numeric inputs for --nested-jars-depth are deprecated, replace with a numeric input";
    type Row = (Value, Option<(u32, &'static [&'static str])>);
    let rows: [Row; 17] = [
        (json!({}), Some((1, &[]))),
        (json!({ "nested-jars-depth": "2" }), Some((2, &[]))),
        (json!({ "nestedJarsDepth": 3 }), Some((3, &[]))),
        (json!({ "nested-jars-depth": 0 }), Some((0, &[]))),
        (json!({ "nested-jars-depth": "", "shaded-jars-depth": "4" }), Some((4, &[OLD]))),
        (json!({ "nested-jars-depth": "true", "shaded-jars-depth": "1" }), Some((1, &[OLD, NON_NUMERIC]))),
        (json!({ "nested-jars-depth": true }), Some((1, &[NON_NUMERIC]))),
        (json!({ "nested-jars-depth": "1e99" }), Some((u32::MAX, &[]))),
        (json!({ "nested-jars-depth": "-1" }), None),
        (json!({ "nested-jars-depth": -1 }), None),
        (json!({ "nested-jars-depth": "abc" }), None),
        (json!({ "nested-jars-depth": "nan" }), None),
        (json!({ "nested-jars-depth": "false" }), None),
        (json!({ "nested-jars-depth": [] }), None),
        (json!({ "nested-jars-depth": "2", "exclude-app-vulns": true }), None),
        (json!({ "shaded-jars-depth": "true", "exclude-app-vulns": "true" }), None),
        (json!({ "nested-jars-depth": null, "exclude-app-vulns": "true" }), Some((1, &[]))),
    ];
    for (options, expected) in rows {
        let parsed = parse(&options).ok().map(|o| (o.nested_jars_depth, o.warnings));
        let expected = expected
            .map(|(depth, warnings)| (depth, warnings.iter().map(|&w| w.to_owned()).collect::<Vec<_>>()));
        assert_eq!(parsed, expected, "{options}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_refused_by_name() {
    let rows = [
        (json!({ "platform": "linux" }), "platform"),
        (json!({ "platform": "a/b/c/d" }), "platform"),
        (json!({ "digests": "sha256:0" }), "digests"),
        (json!({ "digests": { "manifest": [] } }), "manifest"),
        (json!({ "globsToFind": [] }), "globsToFind"),
        (json!({ "globsToFind": { "include": [1] } }), "globsToFind"),
        (json!({ "globsToFind": { "include": ["{1..5000}"] } }), "globsToFind"),
        (json!({ "targetReference": {} }), "target-reference"),
        (json!({ "file": true }), "file"),
    ];
    for (options, expected) in rows {
        match parse(&options) {
            Err(Error::Option { name, .. }) => assert_eq!(name, expected, "{options}"),
            other => panic!("{options}: {other:?}"),
        }
    }
}

#[test]
fn what_is_no_scan_option_is_passed_over() {
    assert_eq!(parse(&json!({ "username": "u", "path": 1 })).unwrap(), Options::default());
}
