#!/usr/bin/env python3
"""benchmarks/compare and benchmarks/growth still run, and a wrong result can't win.

  bench_compare.py SOURCE BUILD

On an image of two small layers that is made here, beside tar and umoci, in a tmpfs of a mount namespace of its own.
Nothing is concluded from the times. As root, with the benchmarks built, and tar, umoci, zstd and unshare; else exits 77.
"""
import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import xml.dom.minidom

sys.dont_write_bytecode = True

from peers.oci_layout import make_layout  # noqa: E402

SECTIONS = ("import", "diff", "export", "verify", "mount")


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def expect(truth, what):
    if not truth:
        sys.exit(f"FAILED: {what}")


def make_corpus(place):
    """Returns the layout that a wrong config can be put into."""
    for number, files in enumerate((300, 20)):
        tree = place / f"tree{number}"
        for file in range(files):
            path = tree / f"d{file % 10}" / f"file-{number}-{file}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{number} {file}\n" * (file + 1))
        subprocess.run(["tar", "-C", tree, "-cf", place / f"{number}.tar", "."], check=True)
        for program in (["gzip", "-k"], ["zstd", "-q"]):
            subprocess.run([*program, place / f"{number}.tar"], check=True)
    for codec, suffix in (("gzip", "gz"), ("zstd", "zst")):
        layout = make_layout(place / "corpus" / f"tiny-{codec}", [place / f"{number}.tar.{suffix}" for number in range(2)])
    return layout


def compare(source, build, place, *options):
    return subprocess.run([source / "benchmarks" / "compare", place / "corpus", place / "work", "--build", build,
                           "--no-disk", "--touch", "0", "--runs", "1", "--rounds", "3", "--peers", "tar,umoci", *options],
                          capture_output=True, text=True, check=False)


def check_report(work):
    with (work / "results.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    expect(not [row for row in rows if row["error"]], f"errors in {rows}")
    for section in SECTIONS:
        names = {row["name"] for row in rows if row["section"] == section and float(row["wall_s"]) > 0}
        expect([name for name in names if name.startswith("strata")], f"strata is missing in {section}: {names}")
        expect([name for name in names if name.startswith("floor")], f"no floor in {section}: {names}")
    imports = {(row["image"], row["name"]) for row in rows if row["section"] == "import"}
    for one in (("tiny gzip", "umoci"), ("tiny gzip", "tar"), ("tiny zstd", "tar")):
        expect(one in imports, f"{one} is missing: {imports}")
    text = (work / "results.md").read_text()
    for wanted in ("## Import", "## Prepare, mount and unmount", "## Targets", "**2 layers**", "| umoci | checked"):
        expect(wanted in text, f"the report lacks {wanted}: {text}")
    xml.dom.minidom.parse(str(work / "results.svg"))
    expect(not (work / "disk").exists(), "compare leaves its disk behind")


def inside(source, build, place):
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    layout = make_corpus(place)
    done = compare(source, build, place)
    expect(done.returncode == 0, f"compare: {done.stdout[-2000:]} {done.stderr}")
    check_report(place / "work")

    done = subprocess.run([source / "benchmarks" / "growth", place / "work", "--build", build, "--no-disk", "--touch", "0",
                           "--runs", "1", "--entries", "10000", "--layers", "10", "--stored", "10"],
                          capture_output=True, text=True, check=False)
    expect(done.returncode == 0 and "| 10,000 | diff" in done.stdout, f"growth: {done.stdout} {done.stderr}")

    # An image whose config says other layers than it has: that strata imports it is no result.
    config = layout.blob(layout.manifest()["config"]["digest"])
    text = json.loads(config.read_text())
    text["rootfs"]["diff_ids"][1] = text["rootfs"]["diff_ids"][0]
    config.write_text(json.dumps(text))
    done = compare(source, build, place, "--sections", "import")
    expect(done.returncode == 1 and "FAILED: tiny zstd: strata says" in done.stdout,
           f"compare took a wrong import: {done.stdout[-500:]} {done.stderr}")


def main():
    source, build = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    if os.geteuid() != 0 or not pathlib.Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]:
        skip("needs root")
    if not (build / "benchmarks" / "floor_walk").exists():
        skip("the benchmarks aren't built")
    for program in ("tar", "gzip", "umoci", "zstd", "unshare"):
        if not shutil.which(program):
            skip(f"needs {program}")
    if len(sys.argv) > 3:
        inside(source, build, pathlib.Path(sys.argv[3]))
        return
    with tempfile.TemporaryDirectory() as place:
        command = ["unshare", "--mount", "--propagation", "private", sys.executable, __file__, source, build, place]
        sys.exit(subprocess.run(command, check=False).returncode)


main()
