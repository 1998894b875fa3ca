#!/usr/bin/env python3
"""check.py SUMMARY: fails when a case that has to be equal is not.

SUMMARY is the machine-readable summary of the parity score. `pending` beside this file lists the cases that wait for
analyzers which are not written yet, one name a line, `#` begins a comment. A case listed there that has become equal
has to be taken off the list, so that it can't get lost again.
"""

import json
import pathlib
import sys


def main() -> int:
    summary = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    lines = pathlib.Path(__file__).with_name("pending").read_text(encoding="utf-8").splitlines()
    pending = {name for name in (line.split("#")[0].strip() for line in lines) if name}
    counted = {case["id"]: case["equal"] for case in summary["cases"] if case["parity"] == "exact"}
    lost = sorted(name for name, equal in counted.items() if not equal and name not in pending)
    gained = sorted(name for name, equal in counted.items() if equal and name in pending)
    for name in lost:
        print(f"parity: {name} has to be equal and is not")
    for name in gained:
        print(f"parity: {name} is equal now: take it off {pathlib.Path(__file__).with_name('pending')}")
    print(f"parity: {sum(counted.values())} of {len(counted)} cases equal, {len(pending & set(counted))} pending")
    return 1 if lost or gained else 0


if __name__ == "__main__":
    sys.exit(main())
