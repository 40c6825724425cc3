#!/usr/bin/env python3
"""Fails where a file includes its own floor or a higher one. The floors are the table of docs/architecture.md.

  check_floors.py SOURCE

A name in the table is a public header ("digest"), a folder ("src/tar"), or files of one ("src/diff/changes"). The
longest that matches a file counts. Files of one name may include each other.
"""
import pathlib
import re
import sys

source = pathlib.Path(sys.argv[1])
rows = re.findall(r"^\| (\d+) \| ([^|]*) \|", (source / "docs/architecture.md").read_text(), re.M)
floors = {name: int(floor) for floor, names in rows for name in re.findall(r"`([^`]+)`", names)}


def name_of(path):
    """The name in the table for a path relative to the source."""
    without = path.removeprefix("include/strata/").rsplit(".", 1)[0]
    fits = [name for name in floors if without == name or (name.startswith("src/") and without.startswith(name))]
    return max(fits, key=len, default=None)


def included(path):
    for system, target in re.findall(r'^\s*#\s*include\s*(?:<strata/([^>]+)>|"([^"]+)")', path.read_text(), re.M):
        yield f"include/strata/{system}" if system else f"src/{target}"


wrong = []
for folder in ("include", "src"):
    for path in sorted((source / folder).rglob("*.[hc]pp")):
        relative = str(path.relative_to(source))
        name = name_of(relative)
        if name is None:
            wrong.append(f"{relative} is on no floor: give it one in docs/architecture.md")
            continue
        for target in included(path):
            other = name_of(target)
            if other is None or not (source / target).exists():
                wrong.append(f"{relative} includes {target}, which isn't known")
            elif other != name and floors[other] >= floors[name]:
                wrong.append(f"{relative} (floor {floors[name]}) includes {target} (floor {floors[other]})")
print("\n".join(wrong))
sys.exit(1 if wrong or not floors else 0)
