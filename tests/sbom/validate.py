"""Holds bills of materials against the official rules, with the validators that others have made.

    validate.py cyclonedx FILE   the schema of CycloneDX 1.6, strictly, and references between components
    validate.py spdx FILE        the model and the rules of SPDX 2.3
    validate.py purl FILE        package URLs, one a line: parsed and written again they are the same

Says what is wrong, one problem a line, and ends with 1 if anything is.
"""

import json
import sys


def cyclonedx(path):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    with open(path, encoding="utf-8") as file:
        text = file.read()
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if error is not None:
        yield error
    bom = json.loads(text)
    refs = [bom["metadata"]["component"]["bom-ref"]] + [c["bom-ref"] for c in bom["components"]]
    for ref in {ref for ref in refs if refs.count(ref) > 1}:
        yield f"{ref} is the reference of several components"
    for dependency in bom["dependencies"]:
        for ref in [dependency["ref"], *dependency.get("dependsOn", [])]:
            if ref not in refs:
                yield f"{ref} refers to nothing"


def spdx(path):
    from spdx_tools.spdx.parser.error import SPDXParsingError
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    try:
        document = parse_file(path)
    except SPDXParsingError as error:
        yield from error.get_messages()
        return
    for message in validate_full_spdx_document(document):
        yield message.validation_message


def purl(path):
    from packageurl import PackageURL

    with open(path, encoding="utf-8") as file:
        for text in file.read().splitlines():
            # The library leaves slashes in qualifiers, which the standard encodes.
            if PackageURL.from_string(text).to_string() != text.replace("%2F", "/"):
                yield f"{text} should be {PackageURL.from_string(text).to_string()}"


if __name__ == "__main__":
    problems = list(globals()[sys.argv[1]](sys.argv[2]))
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)
