#!/usr/bin/env python3
"""Other programs read the layers that strata writes, in every compression, without a word of complaint.

  peers_read.py LAYERCTL

A changed root's difference, the layer committed of it, and the layers below, written as gzip, zstd and plain tar: GNU tar
and bsdtar list them, the same in each; in an OCI image, skopeo copies them (checking their digests), podman stores and
mounts them; umoci adds the plain ones to an image and unpacks it, and unpacks an image of
those in gzip (Debian 12's knows no zstd). Needs umoci, tar, bsdtar, zstd and setfacl, else exits 77; skopeo and podman
where the caller is root.
"""
import sys

sys.dont_write_bytecode = True

from peers import changes, roots, session, small_image  # noqa: E402
from peers.oci_layout import make_layout  # noqa: E402
from peers.session import Failed, run  # noqa: E402

COMPRESSIONS = ("gzip", "zstd", "none")


def write_layers(own, image, place):
    """Compression to the layers of a chain, base first, and another way to write the last of them."""
    layer = own.import_chain(image.layers())
    with own.mounted(layer, "changed") as root:
        changes.change(own, root)
    top = own.strata("commit", "changed").decode().strip()
    chain = []
    at = top
    while at is not None:
        chain.insert(0, at)
        at = own.show(at).get("parent")
    written, differences = {}, {}
    for compression in COMPRESSIONS:
        written[compression] = []
        for number, one in enumerate(chain):
            written[compression].append(place / f"{number}.{compression}")
            own.strata("export", one, written[compression][-1], "--compress", compression)
        differences[compression] = place / f"difference.{compression}"
        own.strata("diff", "changed", "-o", differences[compression], "--compress", compression)
    return written, differences


def check_listings(written, differences):
    """GNU tar and bsdtar list what strata wrote (the lower layers are others' work, byte for byte), in silence, and the same
    whatever the compression."""
    for layers in zip(*([written[c][-1], differences[c]] for c in COMPRESSIONS)):
        for program in (("tar", "--warning=no-timestamp"), ("bsdtar",)):
            verbose = [run(*program, "-tvf", layer, silent=True) for layer in layers]
            if not verbose[0] or len(set(verbose)) != 1:
                raise Failed(f"{program[0]} lists other things in {', '.join(map(str, layers))}")
    print(f"GNU tar and bsdtar list the committed layer and the diff in three compressions")


def check_images(own, written, differences, place):
    for compression in COMPRESSIONS:
        for name, layers in (("export", written[compression]), ("diff", [*written[compression][:-1], differences[compression]])):
            layout = make_layout(place / f"{name}-{compression}", layers)
            if own.privileged:
                run("skopeo", "--insecure-policy", "copy", "-q", f"oci:{layout.path}:latest", f"dir:{place}/copied", silent=True)
                session.remove(place / "copied")
                with own.directory("storage") as storage:
                    if not (roots.podman(layout, storage) / "links/new").is_file():
                        raise Failed(f"podman's mount lacks what {name} wrote as {compression}")
                    roots.podman_unmount(storage)
            if compression != "zstd":
                bundle = place / "bundle"
                if not (roots.umoci(own, layout, bundle) / "links/new").is_file():
                    raise Failed(f"umoci's root lacks what {name} wrote as {compression}")
                session.remove(bundle)
            readers = ("skopeo and podman" if own.privileged else "", "umoci" if compression != "zstd" else "")
            print(f"{name} --compress {compression}: read by {', '.join(r for r in readers if r) or 'nobody here'}", flush=True)


def check(own, _):
    with own.directory("small") as place, own.directory("written") as written_place, own.directory("images") as images:
        image, _ = small_image.make(own, place)
        written, differences = write_layers(own, image, written_place)
        check_listings(written, differences)
        check_images(own, written, differences, images)
        # Added by umoci itself to an image of the layers below.
        layout = make_layout(images / "raw", written["none"][:-1])
        run("umoci", "raw", "add-layer", "--image", f"{layout.path}:latest", differences["none"], silent=True)
        roots.umoci(own, layout, images / "bundle")
        print("umoci raw add-layer: read and unpacked")


session.main(__doc__, ("umoci", "tar", "bsdtar", "zstd", "setfacl"), check)
