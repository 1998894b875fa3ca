"""Holds manifests against the schemas of Kubernetes, strictly, in the oldest and the newest version that there are schemas of.

    manifests.py < MANIFESTS   prints them as one list of JSON

Says what is wrong, one problem a line, and ends with 1 if anything is.
"""

import json
import sys

import kubernetes_validate
import yaml

# The first is the oldest that is here of those which the chart takes (kubeVersion of Chart.yaml).
VERSIONS = ["1.25", "1.37"]

manifests = [manifest for manifest in yaml.safe_load_all(sys.stdin) if manifest]
problems = []
for manifest in manifests:
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            problems.append(f"{manifest.get('kind')} in {version}: {error}")
json.dump(manifests, sys.stdout)
for problem in problems:
    print(problem, file=sys.stderr)
sys.exit(1 if problems else 0)
