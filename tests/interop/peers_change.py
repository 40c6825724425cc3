#!/usr/bin/env python3
"""The difference of a changed root, applied by others, gives the changed root.

  peers_change.py LAYERCTL

Changes a mounted root in every way, and writes the difference twice, which must give the same bytes. Then applies it: with
`layerctl apply` to a plain copy, with `layerctl apply --overlay` under a mount of its own, with umoci as a layer more,
and with GNU tar and whiteouts by hand; and commits the container and mounts the new layer. Each must equal the merged
view, entry by entry, but for what is in the table below. Needs umoci, tar and setfacl, else exits 77. An ordinary user
does the same in a user namespace.
"""
import hashlib
import sys

sys.dont_write_bytecode = True

from peers import changes, roots, session, small_image  # noqa: E402
from peers.known import UMOCI_ROOTLESS, Comparisons, Known  # noqa: E402
from peers.oci_layout import make_layout  # noqa: E402
from peers.session import Failed, run  # noqa: E402
from tree_compare import describe  # noqa: E402

KNOWN = [
    Known("umoci", "mode|owner|mtime", "attributes-too", "A14", "umoci ignores what a hardlink's header says about the file"),
    *UMOCI_ROOTLESS,
]


def overlay_of(own, layers, place):
    """Each layer as an upper directory over the ones before, mounted without a store."""
    stack = []
    for number, layer in enumerate(layers):
        upper = place / str(number)
        upper.mkdir()
        own.apply(layer, upper, "--overlay", *(option for lower in stack for option in ("--lower", lower)))
        stack.insert(0, upper)
    merged = place / "merged"
    merged.mkdir()
    userxattr = "" if own.privileged else ",userxattr"
    run("mount", "-t", "overlay", "overlay", "-o", "ro,lowerdir=" + ":".join(map(str, stack)) + userxattr, merged)
    return merged


def commit(own, name, layer, difference, merged):
    """The container as a layer of the store: the same tar, the same root."""
    new = own.strata("commit", name).decode().strip()
    diff_id = own.show(new)["diff_ids"][-1]
    digest = "sha256:" + hashlib.sha256(difference.read_bytes()).hexdigest()
    exported = "sha256:" + hashlib.sha256(own.strata("export", new, "-", "--compress", "none")).hexdigest()
    if not diff_id == digest == exported:
        raise Failed(f"the diff is {digest}, the committed layer {diff_id}, exported {exported}")
    own.strata("verify", "--prove", new)
    with own.mounted(new, "committed", "--read-only") as root:
        yield "the committed layer", describe(root)
    with own.directory("copy") as copy:
        own.strata("unpack", new, copy)
        yield "layerctl unpack", describe(copy)
    own.strata("remove-container", "committed")
    own.strata("remove", new)


def results(own, image, layer, name, difference, merged):
    """What each way of applying the difference gives: (by whom, description)."""
    with own.directory("copy") as copy:
        own.strata("unpack", layer, copy)
        own.apply(difference, copy)
        yield "layerctl apply", describe(copy)
    with own.directory("stack") as place:
        overlay = overlay_of(own, [*image.layers(), difference], place)
        yield "layerctl apply --overlay", describe(overlay)
        run("umount", overlay)
    with own.directory("bundles") as place:
        layout = make_layout(place / "image", image.layers())
        run("umoci", "raw", "add-layer", "--image", f"{layout.path}:latest", difference)
        yield roots.umoci_name(own), describe(roots.umoci(own, layout, place / "bundle"))
    with own.directory("copy") as copy:
        own.strata("unpack", layer, copy)
        roots.gnu_tar(own, difference, copy)
        yield "GNU tar", describe(copy)
    yield from commit(own, name, layer, difference, merged)


def check_changes(own, comparisons, image, layer, name, options):
    with own.mounted(layer, name, *options) as root:
        changes.change(own, root)
        difference, again = own.scratch / "difference.tar", own.scratch / "again.tar"
        own.strata("diff", name, "-o", difference)
    # In a user namespace, Linux 6.18 shows the names of a file that was copied up to be linked as two files until the
    # overlay is mounted anew.
    with own.mounted(layer, name, *options) as root:
        merged = describe(root)
        with own.directory("older") as older:  # without knowing the upper
            own.strata("unpack", layer, older)
            own.strata("diff", older, root, "-o", own.scratch / "between.tar")
            own.apply(own.scratch / "between.tar", older)
            comparisons.compare(name, "layerctl diff of two trees", merged, describe(older))
    own.strata("diff", name, "-o", again)  # not mounted any more
    if difference.read_bytes() != again.read_bytes():
        raise Failed(f"{name}: the same difference gave other bytes")
    for who, found in results(own, image, layer, name, difference, merged):
        comparisons.compare(name, who, merged, found)
    own.strata("remove-container", name)


def check(own, _):
    comparisons = Comparisons(KNOWN)
    with own.directory("small") as place:
        image, _ = small_image.make(own, place)
        layer = own.import_chain(image.layers())
        check_changes(own, comparisons, image, layer, "plain", [])
        if own.privileged:  # a user namespace has none of them
            check_changes(own, comparisons, image, layer, "redirected", ["-o", "redirect_dir=on", "-o", "metacopy=on"])
            check_changes(own, comparisons, image, layer, "indexed", ["-o", "index=on"])
    comparisons.finish()


session.main(__doc__, ("umoci", "tar", "setfacl"), check)
