"""Export and verify: the whole store is read."""
import contextlib
import shlex

from . import measure, peers, targets

TAR = "tar --numeric-owner --sort=name --xattrs --xattrs-include='*'"


@contextlib.contextmanager
def stored(bench, image):
    with peers.emptied(bench.place / "strata") as place:
        bench.imported(place / "store", image)
        yield place


def lines(commands):
    """One shell that runs them all."""
    return ["sh", "-ec", "\n".join(commands)]


def export(bench, images):
    for _ in range(bench.runs):
        for image in (both[0] for both in images.values()):
            strata(bench, image)
            files(bench, image)
            bench.attempt("export", image, "containers-storage", containers)


def strata(bench, image):
    with stored(bench, image) as place:
        exports = [shlex.join(map(str, bench.layerctl(place / "store", "export", layer))) for layer in image.chain]
        bench.timed("export", image, "strata", lines(f"{one} >/dev/null" for one in exports))
        bench.timed("export", image, "strata, to files",
                    bench.layerctl(place / "store", "export", "--directory", place / "out", *image.chain))
        for one, diff_id in zip(exports, image.diff_ids):
            if "sha256:" + measure.read(["sh", "-c", f"{one} | sha256sum"]).split()[0] != diff_id:
                raise measure.Failed(f"{image}: an export of strata is not {diff_id}")


def files(bench, image):
    """The same files as they are, read by cat, and packed by tar."""
    with peers.emptied(bench.place / "trees") as place:
        measure.read([bench.program("floor_create"), place / "tree", bench.cores, *image.tars])
        cat = f"find {place}/tree -type f -print0 | xargs -0 cat >/dev/null"
        bench.timed("export", image, "floor: cat", lines([cat]))
        if bench.peer("tar"):
            trees = [f"{place}/tree/{number}" for number in range(len(image.tars))]
            bench.timed("export", image, "tar, to a file", lines(f"{TAR} -C {tree} -cf {place}/out.tar ." for tree in trees))


def containers(bench, image):
    peer, place = bench.peer("containers-storage"), bench.place / "peer"
    with peer.stored(place, image):
        bench.timed("export", image, "containers-storage, to files",
                    ["skopeo", "copy", "-q", "--dest-decompress", peer.reference(place), f"dir:{place}/out"])


def verify(bench, images):
    walk, stream = bench.program("floor_walk"), bench.program("floor_stream")
    for _ in range(bench.runs):
        for image in (both[0] for both in images.values()):
            with stored(bench, image) as place:
                bench.timed("verify", image, "strata", bench.layerctl(place / "store", "verify", *image.chain))
                for what, threads in (("xxh3", 1), ("xxh3", bench.cores), ("sha256", bench.cores)):
                    bench.floor("verify", image, f"floor: read and {what}, {targets.threads(threads)}",
                                [walk, what, threads, place / "store"])
                bench.floor("verify", image, "floor: SHA-256 of the tars", [stream, "sha256", *image.tars], image.tars)
