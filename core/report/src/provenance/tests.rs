//! Statements, as `BuildKit` writes them.

use regent_oci::Digest;

use super::*;

fn attestation(manifest: &str, statement: &Value) -> Attestation {
    let statement = statement.to_string().into_bytes();
    Attestation {
        manifest: Digest::sha256(manifest.as_bytes()),
        attested: Some("sha256:aa".into()),
        layer: Digest::sha256(&statement),
        statement,
    }
}

/// The one entry, without the digests that tests don't look at.
fn only(statement: &Value) -> Value {
    let attestation = attestation("m", statement);
    let mut found = metadata(&[attestation]).unwrap();
    let entry = found[0].as_object_mut().unwrap();
    assert_eq!(entry.remove("attestationManifestDigest").unwrap(), Digest::sha256(b"m").as_str());
    assert_eq!(entry.remove("attestedManifestDigest").unwrap(), "sha256:aa");
    found[0].take()
}

#[test]
fn a_build_from_a_local_directory_tells_little() {
    let statement = json!({ "predicateType": V0_2, "predicate": {
        "builder": {"id": ""}, "buildType": "https://mobyproject.org/buildkit@v1",
        "invocation": {"configSource": {"entryPoint": "Dockerfile"}},
        "metadata": {"buildStartedOn": "2026-01-01T00:00:00Z", "buildFinishedOn": "2026-01-01T00:00:09Z"},
    }});
    let expected = json!({
        "buildTimestamp": "2026-01-01T00:00:00Z", "buildConfigDigest": null, "buildConfigDigestSource": null,
        "buildConfigSourceUri": null, "builderId": "", "buildType": "https://mobyproject.org/buildkit@v1",
        "dockerfileMetadata": {"name": "Dockerfile", "contents": null},
    });
    assert_eq!(only(&statement), expected);
}

#[test]
fn a_build_from_a_repository_names_its_source_and_a_complete_record_has_the_dockerfile() {
    let statement = json!({ "predicateType": V0_2, "predicate": {
        "builder": {"id": "https://ci.example.org/1"},
        "invocation": {"configSource": {
            "uri": "https://git.example.org/app.git#main", "digest": {"sha1": "abc"}, "entryPoint": "b.Dockerfile",
        }},
        "metadata": { BUILDKIT_METADATA[0]: {
            "vcs": {"revision": "def", "source": "https://other.example.org"},
            "source": {"infos": [
                {"filename": "other", "data": "eA=="}, {"filename": "b.Dockerfile", "data": "RlJPTSBzY3JhdGNoCg=="},
            ]},
        }},
    }});
    let expected = json!({
        "buildTimestamp": null, "buildConfigDigest": "sha1:abc", "buildConfigDigestSource": "remote",
        "buildConfigSourceUri": "https://git.example.org/app.git#main", "builderId": "https://ci.example.org/1",
        "buildType": null, "dockerfileMetadata": {"name": "b.Dockerfile", "contents": "FROM scratch\n"},
    });
    assert_eq!(only(&statement), expected);
}

#[test]
fn version_1_has_the_same_elsewhere() {
    let statement = json!({ "predicateType": V1, "predicate": {
        "buildDefinition": {
            "buildType": "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
            "externalParameters": {"configSource": {"path": "Dockerfile"}, "request": {"frontend": "dockerfile.v0"}},
        },
        "runDetails": {
            "builder": {"id": "https://ci.example.org/2"},
            "metadata": {"finishedOn": "2026-01-02T00:00:00Z", BUILDKIT_METADATA[1]: {
                "vcs": {"revision": "def", "source": "https://git.example.org/app.git"},
            }},
        },
    }});
    let expected = json!({
        "buildTimestamp": "2026-01-02T00:00:00Z", "buildConfigDigest": "def", "buildConfigDigestSource": "local",
        "buildConfigSourceUri": "https://git.example.org/app.git", "builderId": "https://ci.example.org/2",
        "buildType": "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
        "dockerfileMetadata": {"name": "Dockerfile", "contents": null},
    });
    assert_eq!(only(&statement), expected);
}

#[test]
fn what_is_no_provenance_is_passed_over() {
    let rows = [
        json!({"predicateType": "https://spdx.dev/Document", "predicate": {}}),
        json!({"predicateType": V1}),
        json!({"predicate": {}}),
        json!([]),
    ];
    for statement in rows {
        assert_eq!(metadata(&[attestation("m", &statement)]), None, "{statement}");
    }
    let broken = Attestation { statement: b"{".to_vec(), ..attestation("m", &json!({})) };
    assert_eq!(metadata(&[broken]), None);
}

#[test]
fn statements_are_sorted_by_digest_and_ten_are_repeated() {
    let empty = json!({"predicateType": V1, "predicate": {}});
    let all: Vec<_> = (0..12).map(|n| attestation(&n.to_string(), &empty)).collect();
    let found = metadata(&all).unwrap();
    let digests: Vec<_> =
        found.as_array().unwrap().iter().map(|entry| entry["attestationManifestDigest"].clone()).collect();
    let mut expected: Vec<_> = all.iter().map(|attestation| json!(attestation.manifest)).collect();
    expected.sort_by_key(ToString::to_string);
    expected.truncate(10);
    assert_eq!(digests, expected);
}
