#!/usr/bin/env python3
"""The rules of apply (docs/semantics.md), case by case, by strata and by other programs: a table, as Markdown.

  peers_rules.py LAYERCTL [PATTERN...]

strata (unpacked, mounted, applied flat and as an upper directory) must be right in each; that is the test. What the others
make of the same layers is printed: "right", "refuses", or what is wrong. They are umoci; podman (through skopeo into a
storage of its own); containerd, by its overlayfs and its native snapshotter; and, where there are no whiteouts, GNU tar and
bsdtar. Who isn't installed is left out. As root.
"""
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True

from peers import roots, session  # noqa: E402
from peers.containerd import Containerd  # noqa: E402
from peers.oci_layout import make_layout  # noqa: E402
from peers.rules import RULES  # noqa: E402
from peers.session import Failed, Refused, run  # noqa: E402
from tree_text import sorted_tree, tree_text  # noqa: E402


def found_in(case, root):
    """The tree, without its root where the case says nothing of it."""
    text = tree_text(root)
    return text if case.tree is None or "./ " in case.tree else [line for line in text if not line.startswith("./ ")]


def shown(names):
    return ", ".join(f"`{name}`" for name in names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def verdict(case, tree, folder_times=True):
    """`tree` None: the layers were refused. `folder_times`: those of directories count."""
    if tree is None or case.tree is None:
        return "right" if tree is None and case.tree is None else "refuses" if tree is None else "applies it"

    def by_path(lines):
        return {line.split(" ")[0]: line if folder_times else re.sub(r"^(\S*/ .*?) @\S+", r"\1", line)
                for line in lines}

    expected, found = by_path(sorted_tree(case.tree)), by_path(tree)
    lacks = sorted(expected.keys() - found.keys())
    extra = sorted(found.keys() - expected.keys())
    differ = [found[path] for path in sorted(expected.keys() & found.keys()) if expected[path] != found[path]]
    parts = ["lacks " + shown(lacks)] if lacks else []
    parts += ["has " + shown(extra)] if extra else []
    parts += ["has " + shown([re.sub(r"@1[67]\d{8}\S*", "@now", line) for line in differ])] if differ else []
    return "; ".join(parts) or "right"


class Peer:
    """`tree(case, layers, place)`: of these files, made in this directory; raises Refused."""

    def __init__(self, name, version, tree, plain=False, folder_times=True):
        self.name, self.version, self.tree, self.plain, self.folder_times = name, version, tree, plain, folder_times

    def judge(self, case, layers, place):
        if self.plain and not case.plain:
            return "-"
        try:
            return verdict(case, self.tree(case, layers, place), self.folder_times)
        except Failed as failure:
            if "STRATA_PEERS_VERBOSE" in os.environ:
                print(f"{self.name}: {case.rule} {case.what}: {failure}", file=sys.stderr)
            return verdict(case, None) if isinstance(failure, Refused) else "fails"


def version(*command):
    text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.decode()
    return re.search(r"\d+\.\d+(\.\d+)?", text)[0]


def strata_trees(own, case, layers, place):
    """What each form gives; they must be the same."""
    store = place / "store"
    top = None
    for layer in layers:
        try:
            top = own.strata("import", layer, *(["--parent", top] if top else []), store=store).decode().strip()
        except Failed as failure:
            raise Refused(str(failure)) from failure
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
        return found_in(case, roots.umoci(own, make_layout(place / "image", layers), place / "bundle", may_warn=True))
    return Peer("umoci", version("umoci", "--version"), tree)


def podman():
    def tree(case, layers, place):
        layout = make_layout(place / "image", layers)
        try:
            return found_in(case, roots.podman(layout, place, may_warn=True))
        finally:
            roots.podman_unmount(place)
    return Peer("podman", version("podman", "--version"), tree)


def containerd(daemon, snapshotter):
    def tree(case, layers, place):
        target = place / "target"
        target.mkdir()
        with daemon.mounted(make_layout(place / "image", layers), snapshotter, target):
            return found_in(case, target)
    # The native one copies what is below, and every directory's time is that of the copy.
    return Peer(f"containerd {snapshotter}", version("containerd", "--version"), tree,
                folder_times=snapshotter != "native")


def plain_tar(program, *options):
    def tree(case, layers, place):
        root = place / "root"
        root.mkdir()
        for layer in layers:
            roots.may_refuse(program, "-x", "-p", *options, "-f", layer, "-C", root)
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
        yield plain_tar("tar", "--numeric-owner", "--same-owner", "--xattrs", "--xattrs-include=*",
                        "--delay-directory-restore")
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
    with own.directory("containerd") as place:
        daemon = Containerd(place)
        try:
            daemon.start()
        except Failed as failure:
            print(f"without containerd: {failure}")
            daemon = None
        try:
            compare(own, daemon, patterns)
        finally:
            if daemon:
                daemon.stop()


session.main(__doc__, ("mount",), check)
