"""Diffs of 2,000 changes: of an upper directory, and between two trees."""
import contextlib
import os
import shutil

from . import disk, measure, peers, targets


def run(bench, images):
    image = images.get("many-small", next(iter(images.values())))[0]
    for _ in range(bench.runs):
        upper(bench, image)
        trees(bench, image)
        bench.attempt("diff", image, "containerd", containerd)
        bench.attempt("diff", image, "containers-storage", buildah)
        bench.attempt("diff", image, "umoci", umoci)
        bench.attempt("diff", image, "tar", tar)


def change(root, count=1000):
    """Appends to `count` of the files in `root`, or to a hundredth of them where that is less, adds half as many and
    deletes half as many, evenly. Always the same ones."""
    paths = (os.path.join(directory, name) for directory, _, names in os.walk(root) for name in names)
    files = sorted(path for path in paths if os.path.isfile(path) and not os.path.islink(path))
    count = min(count, max(len(files) // 100, 2))
    step = len(files) // count
    for path in files[::step][:count]:
        with open(path, "a") as file:
            file.write("// changed\n")
    for number, path in enumerate(files[step // 3::2 * step][:count // 2]):
        with open(path, "rb") as source, open(os.path.join(os.path.dirname(path), f"new-{number}.js"), "wb") as target:
            target.write(source.read(2048))
    for path in files[2 * step // 3::2 * step][:count // 2]:
        os.remove(path)


def upper(bench, image):
    with changed_container(bench, image, bench.place / "strata") as (store, upper_directory):
        out, walk = bench.place / "strata" / "out.tar", bench.program("floor_walk")
        bench.timed("diff", image, "strata, upper", bench.layerctl(store, "diff", "changed", "-o", out))
        bench.floor("diff", image, "floor: walk the upper", [walk, "stat", 1, upper_directory])
        bench.floor("diff", image, "floor: read and digest the upper", [walk, "sha256", 1, upper_directory])


@contextlib.contextmanager
def changed_container(bench, image, place):
    """A container of a new store below `place`, changed and mounted, and its upper directory."""
    with peers.emptied(place):
        store = place / "store"
        layer = bench.imported(store, image)
        root = measure.read(bench.layerctl(store, "mount", layer, "changed")).strip()
        change(root)
        yield store, measure.read(["findmnt", "-n", "-o", "OPTIONS", root]).split("upperdir=")[1].split(",")[0].strip()


def trees(bench, image):
    with peers.emptied(bench.place / "trees") as place:
        create = [bench.program("floor_create")]
        for name in ("old", "new"):
            measure.read([*create, place / name, bench.cores, image.tars[0]])
        old, new = place / "old" / "0", place / "new" / "0"
        change(new)
        out, walk = place / "out.tar", bench.program("floor_walk")
        bench.timed("diff", image, "strata, two trees", bench.layerctl(place / "store", "diff", old, new, "-o", out))
        bench.timed("diff", image, "strata, two trees, times trusted",
                    bench.layerctl(place / "store", "diff", "--trust-times", old, new, "-o", out))
        for does, what in (("walk", "stat"), ("read", "read")):
            for threads in sorted({1, bench.cores}):
                bench.floor("diff", image, f"floor: {does} both trees, {targets.threads(threads)}",
                            [walk, what, threads, old, new])


def containerd(bench, image):
    peer = bench.peer("containerd")
    with peer.stored(bench.place / "peer", image) as (ctr, process):
        merged = bench.place / "peer" / "merged"
        merged.mkdir()
        measure.read([*ctr, "images", "mount", "--rw", "localhost/bench:latest", merged])  # the snapshot is called so too
        change(merged)
        disk.run("umount", merged)
        with (bench.place / "peer" / "out").open("wb") as out:
            bench.timed("diff", image, "containerd", [*ctr, "snapshots", "diff", merged], daemon=process, output=out)


def buildah(bench, image):
    with bench.peer("containers-storage").stored(bench.place / "peer", image) as command:
        container = measure.read([*command, "from", "--pull-never", "localhost/bench:1"]).strip()
        change(measure.read([*command, "mount", container]).strip())
        bench.timed("diff", image, "buildah commit", [*command, "commit", "-q", container, "localhost/changed:1"])
        measure.read([*command, "umount", container])


def umoci(bench, image):
    with peers.emptied(bench.place / "peer") as place:
        shutil.copytree(image.layout, place / "layout")
        measure.read(["umoci", "unpack", "--image", f"{place}/layout:latest", place / "bundle"])
        change(place / "bundle" / "rootfs")
        bench.timed("diff", image, "umoci repack",
                    ["umoci", "repack", "--image", f"{place}/layout:changed", place / "bundle"])


def tar(bench, image):
    """Not a diff: the upper directory as it is, whiteouts as devices."""
    with changed_container(bench, image, bench.place / "peer") as (_, upper_directory):
        bench.timed("diff", image, "tar of the upper", ["tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-C",
                                                         upper_directory, "-cf", bench.place / "peer" / "out.tar", "."])
