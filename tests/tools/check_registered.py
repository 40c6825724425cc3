#!/usr/bin/env python3
"""Fails where a file is left out of the build: a test that no `meson test` runs, a source or header in no list.

  check_registered.py SOURCE BUILD
"""
import json
import os
import pathlib
import sys

source, build = (pathlib.Path(p).resolve() for p in sys.argv[1:3])


def introspected(what):
    return json.loads((build / "meson-info" / f"intro-{what}.json").read_text())


compiled = {os.path.normpath(path) for target in introspected("targets") for group in target["target_sources"] for path in group["sources"]}
# Of a library that was amalgamated, the files are in what Meson makes of several.
for target in introspected("targets"):
    for path in (pathlib.Path(path) for group in target["target_sources"] for path in group["generated_sources"]):
        if "-unity" in path.name and path.exists():
            compiled |= {os.path.normpath(line.split("<")[1].rstrip(">\n")) for line in path.open()}
commands = [test["cmd"] for test in introspected("tests")]
# Meson writes paths relative to the build tree, or through it ("BUILD/../tests/x"), as it stands to the source.
def whole(path):
    return os.path.normpath(os.path.join(build, path))


arguments = {form for command in commands for argument in command for form in (argument, whole(argument))}
dependencies = {dependency["name"] for dependency in introspected("dependencies")}
options = {option["name"]: option["value"] for option in introspected("buildoptions")}
headers = {os.path.normpath("/" + installed.lstrip("/")) for installed in introspected("installed")}

wrong = []


def expect(registered, path, where):
    if not registered:
        wrong.append(f"{path.relative_to(source)} is in no list: add it to {where}")


for path in sorted((source / "tests").rglob("*.cpp")):
    folder = path.relative_to(source / "tests").parts[0]
    if folder in ("unit", "conformance", "mount", "semantics"):
        expect(str(path) in compiled and f"[#{path.stem}]" in arguments, path, f"tests/{folder}/meson.build")
    elif folder == "fuzz" and path.stem != "replay":
        corpus = path.parent / "corpus" / path.stem
        expect(str(path) in compiled and str(corpus) in arguments and corpus.is_dir(), path, "tests/fuzz/meson.build")
    elif folder in ("support", "tools", "regressions", "fuzz", "faults"):
        expect(str(path) in compiled, path, f"tests/{folder}/meson.build")
    elif folder == "crash" and (path.stem != "logged_disk" or "fuse3" in dependencies):
        expect(str(path) in compiled, path, "tests/crash/meson.build")
for path in sorted((source / "tests" / "crash").glob("*.py")):
    if path.stem != "power_cut" or "fuse3" in dependencies:
        expect(str(path) in arguments, path, "tests/crash/meson.build")
for path in sorted((source / "tests" / "fuzz" / "corpus").iterdir()):
    expect((source / "tests" / "fuzz" / f"{path.name}.cpp").exists(), path, "a fuzzer of that name")
for path in sorted((source / "tests" / "interop").iterdir()):
    if path.suffix in (".sh", ".py") and options["examples"]:
        expect(str(path) in arguments, path, "tests/interop/meson.build")
for path in sorted((source / "tests" / "images").iterdir()):
    if path.suffix == ".cpp":
        expect(str(path) in compiled, path, "tests/images/meson.build")
    elif path.suffix == ".sh" or (path.suffix == ".py" and path.read_text().startswith("#!")):
        expect(str(path) in arguments, path, "tests/images/meson.build")
hostile = source / "tests" / "hostile"
runner = hostile / "run.py"
if options["examples"]:
    expect(str(runner) in arguments, runner, "tests/hostile/meson.build")
for path in sorted(hostile.glob("cases_*.py")):
    expect(f"{path.stem}.cases(" in runner.read_text(), path, "all_cases() of tests/hostile/run.py")
for path in sorted((source / "tests" / "tools").glob("check_*")):
    expect(str(path) in arguments, path, "tests/tools/meson.build")
google_benchmark = "benchmark" in dependencies
for folder in ("src", "benchmarks", "examples"):
    for path in sorted((source / folder).rglob("*.cpp")) if options.get(folder, True) else ():
        if path.parent.name != "parts" or google_benchmark:
            expect(str(path) in compiled, path, "the meson.build of its folder")
for path in sorted((source / "include").rglob("*.hpp")):
    expect(str(path) in headers, path, "include/meson.build")

for target in introspected("targets"):
    if target["type"] == "executable" and target["defined_in"].startswith(str(source / "tests")):
        if whole(target["filename"][0]) not in arguments and target["build_by_default"]:
            wrong.append(f"{target['name']} is built and no test runs it")

print("\n".join(wrong))
sys.exit(1 if wrong else 0)
