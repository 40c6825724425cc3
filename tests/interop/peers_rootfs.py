#!/usr/bin/env python3
"""The merged mount of an image equals what other programs make of it, entry by entry.

  peers_rootfs.py LAYERCTL [CORPUS [IMAGE...]]

Imports the layers of an image, mounts them, and compares with `umoci unpack`, with podman's mount of the same image, and
with `layerctl unpack`; and what `layerctl` and `umoci` unpack through a map of ids. The image is made here, and has a bit of everything; and those of CORPUS (or of STRATA_CORPUS in
the environment), a directory of OCI layouts NAME-gzip and NAME-zstd. podman gets the latter. What differs must be in the
table below. As root, since podman stores no image for an ordinary user without a range of ids; needs umoci, skopeo,
podman, tar and setfacl, else exits 77.
"""
import os
import pathlib
import sys

sys.dont_write_bytecode = True

from peers import roots, session, small_image  # noqa: E402
from peers.known import Comparisons, Known  # noqa: E402
from peers.oci_layout import Layout  # noqa: E402
from tree_compare import describe  # noqa: E402

# Of the image that is made here, a path is one that has the reason; of others, the difference itself must show it.
KNOWN = [
    Known("umoci", "mtime", "home/user/deep(/implied)?", "A11, A16",
          "umoci gives a directory that the layer doesn't list the time of the extraction"),
    Known("umoci", "mode|owner|mtime", "attributes(-too)?|links/.*|home/user/three", "A14",
          "umoci ignores what a hardlink's header says about the file"),
    Known("umoci, ids mapped", r"xattr system\.posix_acl_(access|default)", ".*", "A24",
          "umoci doesn't map the users and groups that an ACL names"),
    Known("umoci, ids mapped", r"xattr security\.capability", ".*", "A24",
          "umoci leaves capabilities to the root of the host"),
    Known("umoci, ids mapped", "owner", ".*", "A11, A24",
          "umoci gives a new directory that the layer doesn't list to the root of the host",
          lambda found: (found.left, found.right) == ((100000, 100000), (0, 0))),
    Known("podman", "mtime", ".*", "A16", "podman takes 1970 for any time before it",
          lambda found: found.left < 0 and found.right == 0),
    Known("podman", "mode|mtime", r"\.", "A10",
          "podman's root has mode 0555 and the time of the extraction, whatever a layer says of it"),
    Known("podman", "mode|owner|mtime", "home|home/user(/deep(/implied)?)?|bin|etc|usr", "A11",
          "podman hides a lower directory's attributes by a new one where the layer doesn't list it"),
    Known("podman", "type|extra|missing", "(usr/)?lib(/.*)?", "A12",
          "podman hides a symlink to a directory by a new directory"),
]

MAP = "0:100000:65536"


def check_image(own, comparisons, image, layout, other_layout):
    """`other_layout` is the same image with its layers compressed otherwise; None: an image that podman can't hold."""
    with own.directory("work") as work:
        layer = own.import_chain(layout.layers())
        with own.mounted(layer, "root", "--read-only") as root:
            strata = describe(root)
        own.strata("remove-container", "root")
        with own.directory("unpacked") as directory:
            own.strata("unpack", layer, directory)
            comparisons.compare(image, "layerctl unpack", strata, describe(directory))
        with own.directory("mapped") as directory:
            own.strata("unpack", layer, directory, "--uidmap", MAP)
            mapped = describe(directory)
        session.remove(own.scratch / "store")
        comparisons.compare(image, "umoci", strata, describe(roots.umoci(own, layout, work / "bundle")))
        session.remove(work / "bundle")
        rootfs = roots.umoci(own, layout, work / "bundle", "--uid-map", MAP, "--gid-map", MAP)
        comparisons.compare(image, "umoci, ids mapped", mapped, describe(rootfs))
        session.remove(work / "bundle")
        if other_layout is None:
            return
        (work / "podman").mkdir()
        comparisons.compare(image, "podman", strata, describe(roots.podman(other_layout, work / "podman")))
        roots.podman_unmount(work / "podman")


def check(own, arguments):
    if not own.privileged:
        session.skip("needs root")
    comparisons = Comparisons(KNOWN)
    with own.directory("small") as place:
        layout, link_to_lower = small_image.make(own, place)
        check_image(own, comparisons, "small image", layout, layout)
        check_image(own, comparisons, "with a link to a lower layer", link_to_lower, None)
    corpus = (arguments[0] if arguments else "") or os.environ.get("STRATA_CORPUS", "")
    if corpus:
        corpus = pathlib.Path(corpus)
        for image in arguments[1:] or sorted(path.name.removesuffix("-gzip") for path in corpus.glob("*-gzip")):
            check_image(own, comparisons, image, Layout(corpus / f"{image}-gzip"), Layout(corpus / f"{image}-zstd"))
    comparisons.finish()


session.main(__doc__, ("umoci", "skopeo", "podman", "findmnt", "tar", "setfacl"), check)
