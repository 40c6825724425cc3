"""Export and verify: the whole store is read."""
import contextlib
import shlex

from . import measure, peers, targets


@contextlib.contextmanager
def stored(bench, image):
    with peers.emptied(bench.place / "strata") as place:
        bench.imported(place / "store", image)
        yield place


def export(bench, images):
    for _ in range(bench.runs):
        for image in (both[0] for both in images.values()):
            with stored(bench, image) as place:
                words = [shlex.join(map(str, bench.layerctl(place / "store", "export", layer))) for layer in image.chain]
                bench.timed("export", image, "strata", ["sh", "-ec", "\n".join(f"{word} >/dev/null" for word in words)])
                bench.timed("export", image, "strata, to a file", ["sh", "-ec", "\n".join(f"{word} >{place}/out.tar" for word in words)])
                check(image, words)
            with peers.emptied(bench.place / "trees") as place:
                measure.read([bench.program("floor_create"), place / "tree", bench.cores, *image.tars])
                bench.timed("export", image, "floor: cat", ["sh", "-c", f"find {place}/tree -type f -print0 | xargs -0 cat >/dev/null"])
                if bench.peer("tar"):
                    bench.timed("export", image, "tar, to a file",
                                ["sh", "-ec", "\n".join(f"tar --numeric-owner --sort=name --xattrs --xattrs-include='*' "
                                                        f"-C {place}/tree/{n} -cf {place}/out.tar ." for n in range(len(image.tars)))])
            containers = bench.peer("containers-storage")
            if containers:
                place = bench.place / "peer"
                with containers.stored(place, image):
                    bench.timed("export", image, "containers-storage, to files",
                                ["skopeo", "copy", "-q", "--dest-decompress", containers.reference(place), f"dir:{place}/out"])


def check(image, words):
    """That what comes out is what went in, outside of the clock."""
    for word, diff_id in zip(words, image.diff_ids):
        if "sha256:" + measure.read(["sh", "-c", f"{word} | sha256sum"]).split()[0] != diff_id:
            raise measure.Failed(f"{image}: an export of strata is not {diff_id}")


def verify(bench, images):
    for _ in range(bench.runs):
        for image in (both[0] for both in images.values()):
            with stored(bench, image) as place:
                bench.timed("verify", image, "strata", bench.layerctl(place / "store", "verify", *image.chain))
                for what, threads in (("xxh3", 1), ("xxh3", bench.cores), ("sha256", bench.cores)):
                    bench.floor("verify", image, f"floor: read and {what}, {targets.threads(threads)}",
                                [bench.program("floor_walk"), what, threads, place / "store"])
                bench.floor("verify", image, "floor: SHA-256 of the tars", [bench.program("floor_stream"), "sha256", *image.tars],
                            image.tars)
