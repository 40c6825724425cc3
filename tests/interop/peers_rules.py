#!/usr/bin/env python3
"""The rules of apply (docs/semantics.md), case by case, by strata and by other programs: a table, as Markdown.

  peers_rules.py LAYERCTL [PATTERN...]

strata (unpacked, mounted, applied flat and as an upper directory) must be right in each; that is the test. What the others
make of the same layers is printed: "right", "refuses", or what is wrong. They are umoci; podman (through skopeo into a
storage of its own); containerd, by its overlayfs and its native snapshotter; and, where there are no whiteouts, GNU tar and
bsdtar. Who isn't installed is left out. As root.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True

from peers import roots, session  # noqa: E402
from peers.containerd import Containerd  # noqa: E402
from peers.oci_layout import make_layout  # noqa: E402
from peers.rules import RULES  # noqa: E402
from peers.session import Failed, run  # noqa: E402
from tree_text import sorted_tree, tree_text  # noqa: E402


def found_in(case, root):
    """The tree, without its root where the case says nothing of it."""
    text = tree_text(root)
    return text if case.tree is None or "./ " in case.tree else [line for line in text if not line.startswith("./ ")]


def verdict(case, tree):
    """`tree` None: the layers were refused."""
    if tree is None or case.tree is None:
        return "right" if tree is None and case.tree is None else "refuses" if tree is None else "applies it"
    expected = {line.split(" ")[0]: line for line in sorted_tree(case.tree)}
    found = {line.split(" ")[0]: line for line in tree}
    lacks = sorted(expected.keys() - found.keys())
    extra = sorted(found.keys() - expected.keys())
    differ = [found[path] for path in sorted(expected.keys() & found.keys()) if expected[path] != found[path]]
    parts = ["lacks " + ", ".join(f"`{path}`" for path in lacks)] if lacks else []
    parts += ["has " + ", ".join(f"`{path}`" for path in extra)] if extra else []
    parts += ["has `" + "`, `".join(re.sub(r"@1[67]\d{8}\S*", "@now", line) for line in differ) + "`"] if differ else []
    return "; ".join(parts) or "right"


class Peer:
    """`tree(case, layers, place)`: of these files, made in this directory; raises Failed where they are refused."""

    def __init__(self, name, version, tree, plain=False):
        self.name, self.version, self.tree, self.plain = name, version, tree, plain

    def judge(self, case, layers, place):
        if self.plain and not case.plain:
            return "-"
        try:
            return verdict(case, self.tree(case, layers, place))
        except Failed as refused:
            if "STRATA_PEERS_VERBOSE" in os.environ:
                print(f"{self.name}: {case.rule} {case.what}: {refused}", file=sys.stderr)
            return verdict(case, None)


def version(*command):
    text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.decode()
    return re.search(r"\d+\.\d+(\.\d+)?", text)[0]


def strata_trees(own, case, layers, place):
    """What each form gives; they must be the same."""
    store = place / "store"
    top = None
    for layer in layers:
        top = own.strata("import", layer, *(["--parent", top] if top else []), store=store).decode().strip()
    own.strata("unpack", top, place / "unpacked", store=store)
    yield "unpacked", found_in(case, place / "unpacked")
    merged = own.strata("mount", top, "c", "--read-only", store=store).decode().strip()
    try:
        yield "mounted", found_in(case, merged)
    finally:
        own.strata("umount", "c", store=store)
    flat, upper, both = place / "flat", place / "upper", place / "both"
    for directory in (flat, upper, both):
        directory.mkdir()
    for layer in layers[:-1]:
        own.apply(layer, flat)
    own.apply(layers[-1], upper, "--overlay", "--lower", flat)
    run("mount", "-t", "overlay", "overlay", "-o", f"ro,lowerdir={upper}:{flat}", both)
    try:
        yield "as an upper directory", found_in(case, both)
    finally:
        run("umount", both)
    own.apply(layers[-1], flat)
    yield "flat", found_in(case, flat)


def strata(own):
    def tree(case, layers, place):
        trees = dict(strata_trees(own, case, layers, place))
        wrong = {form: verdict(case, found) for form, found in trees.items() if verdict(case, found) != "right"}
        if wrong:
            print(f"strata, {case.rule} {case.what}: {wrong}", file=sys.stderr)
        return next((found for form, found in trees.items() if form in wrong), trees["unpacked"])
    return Peer("strata", run(own.layerctl, "--version").decode().split()[-1], tree)


def umoci(own):
    def tree(case, layers, place):
        return found_in(case, roots.umoci(own, make_layout(place / "image", layers), place / "bundle"))
    return Peer("umoci", version("umoci", "--version"), tree)


def podman():
    def tree(case, layers, place):
        layout = make_layout(place / "image", layers)
        try:
            return found_in(case, roots.podman(layout, place))
        finally:
            roots.podman_unmount(place)
    return Peer("podman", version("podman", "--version"), tree)


def containerd(daemon, snapshotter):
    def tree(case, layers, place):
        target = place / "target"
        target.mkdir()
        with daemon.mounted(make_layout(place / "image", layers), snapshotter, target):
            return found_in(case, target)
    return Peer(f"containerd {snapshotter}", version("containerd", "--version"), tree)


def plain_tar(program, *options):
    def tree(case, layers, place):
        root = place / "root"
        root.mkdir()
        for layer in layers:
            run(program, "-x", "-p", *options, "-f", layer, "-C", root)
        return found_in(case, root)
    return Peer({"tar": "GNU tar"}.get(program, program), version(program, "--version"), tree, plain=True)


def peers(own, daemon):
    yield strata(own)
    if shutil.which("umoci"):
        yield umoci(own)
    if shutil.which("podman") and shutil.which("skopeo") and shutil.which("findmnt"):
        yield podman()
    if daemon:
        yield containerd(daemon, "overlayfs")
        yield containerd(daemon, "native")
    if shutil.which("tar"):
        yield plain_tar("tar", "--numeric-owner", "--same-owner", "--xattrs", "--xattrs-include=*", "--delay-directory-restore")
    if shutil.which("bsdtar"):
        yield plain_tar("bsdtar", "--numeric-owner", "--same-owner")


def compare(own, daemon, patterns):
    known = list(peers(own, daemon))
    print(f"| rule | case | {' | '.join(peer.name for peer in known)} |\n|---|---|" + "---|" * len(known))
    right = {peer.name: [0, 0] for peer in known}
    for case in RULES:
        if patterns and not any(re.search(pattern, f"{case.rule} {case.what}") for pattern in patterns):
            continue
        cells = []
        for peer in known:
            with own.directory("case") as place:
                layers = []
                for number, layer in enumerate(case.layers):
                    layers.append(place / f"{number}.tar")
                    layers[-1].write_bytes(layer)
                cells.append(peer.judge(case, layers, place))
            right[peer.name][0] += cells[-1] == "right"
            right[peer.name][1] += cells[-1] != "-"
        print(f"| {case.rule} | {case.what} | {' | '.join(cells)} |", flush=True)
    print("| | right | " + " | ".join(f"{n} of {tried}" for n, tried in right.values()) + " |")
    print(f"\n{', '.join(f'{peer.name} {peer.version}' for peer in known)}; Linux {os.uname().release}")
    if right["strata"][0] != right["strata"][1]:
        raise Failed("strata is wrong")


def check(own, patterns):
    if not own.privileged:
        session.skip("needs root")
    if not (shutil.which("containerd") and shutil.which("ctr")):
        compare(own, None, patterns)
        return
    with own.directory("containerd") as place, Containerd(place) as daemon:
        compare(own, daemon, patterns)


session.main(__doc__, ("mount",), check)
