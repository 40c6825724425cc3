#!/usr/bin/env python3
"""Fails where a file breaks a rule of the house (CONTRIBUTING.md) that a program can see.

  check_source.py SOURCE
"""
import pathlib
import re
import sys

source = pathlib.Path(sys.argv[1])
own = ("include", "src", "tests", "examples", "benchmarks", "docs", "packaging", ".ci")
longest = 600
unfinished = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HAC" r"K)\b")
foreign = re.compile(r"^\s*#\s*include\s*<(?!strata/|boost/|[a-z_0-9]+>)([^>]+)>", re.M)
macro = re.compile(r"^\s*#\s*define\s+(?!STRATA_)(\w+)", re.M)

wrong = []
for folder in own:
    for path in sorted((source / folder).rglob("*")):
        if not path.is_file() or path.suffix not in ("", ".hpp", ".cpp", ".py", ".sh", ".md", ".build", ".in"):
            continue
        name = path.relative_to(source)
        text = path.read_text(errors="replace")
        if path.suffix in (".hpp", ".cpp") and text.count("\n") > longest:
            wrong.append(f"{name} has more than {longest} lines: it is two rooms")
        for match in unfinished.finditer(text):
            wrong.append(f"{name} leaves something unfinished: {match[0]}")
        if folder == "include" and path.suffix == ".hpp":
            if "#pragma once" not in text:
                wrong.append(f"{name} lacks #pragma once")
            for match in foreign.finditer(text):
                wrong.append(f"{name} includes <{match[1]}>: hosts should not need it")
            for match in macro.finditer(text):
                wrong.append(f"{name} defines {match[1]}, a macro without STRATA_")
print("\n".join(wrong))
sys.exit(1 if wrong else 0)
