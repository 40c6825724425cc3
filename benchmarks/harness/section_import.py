"""Import of whole images: strata with and without durability, the peers, and the floor."""
import tempfile

from . import measure, peers, targets
from .bench import check_chain


def run(bench, images):
    verified = set()
    for _ in range(bench.runs):
        for image in (image for both in images.values() for image in both):
            strata(bench, image, "strata", "none", verified)
            for peer in bench.peers:
                if image.codec in peer.codecs:
                    with peer.importing(bench.place / "peer", image) as command:
                        bench.timed("import", image, peer.name, command.words, [*image.layers, image.archive],
                                    daemon=command.daemon)
            strata(bench, image, "strata, durable", "full", verified)
            floors(bench, image)


def strata(bench, image, name, durability, verified):
    """The first import by each name is verified, outside of the clock."""
    with peers.emptied(bench.place / "strata") as place, tempfile.TemporaryFile("w+") as said:
        command = bench.layerctl(place / "store", "import", *image.layers, durability=durability)
        done = bench.timed("import", image, name, command, image.layers, output=said)
        if done and (str(image), name) not in verified:
            verified.add((str(image), name))
            said.seek(0)
            check_chain(image, said.read().split())
            measure.read(bench.layerctl(place / "store", "verify", "--prove", *image.chain))


def floors(bench, image):
    """The floor is the longest stage of any layer that can't be divided, or all of the CPU time divided by the cores,
    whichever is longer. Creating a tree can be divided among threads, as far as its directories allow."""
    decoder = {"gzip": "isal", "zstd": "zstd"}[image.codec]
    stream = [bench.program("floor_stream")]
    try:
        inflate = bench.floor("import", image, f"floor: inflate ({decoder})", [*stream, decoder, *image.layers], image.layers)
    except measure.Failed:  # built without ISA-L
        inflate = bench.floor("import", image, "floor: inflate (zlib)", [*stream, "zlib", *image.layers], image.layers)
    tar = bench.floor("import", image, "floor: SHA-256 of the tars", [*stream, "sha256", *image.tars], image.tars)
    blob = bench.floor("import", image, "floor: SHA-256 of the blobs", [*stream, "sha256", *image.layers], image.layers)
    create = [bench.program("floor_create")]
    with peers.emptied(bench.place / "floor") as place:
        one = bench.floor("import", image, "floor: create, 1 thread", [*create, place / "tree", 1, *image.tars], image.tars)
    with peers.emptied(bench.place / "floor") as place:
        bench.settle(image.tars)
        rows = measure.floor([*create, place / "tree", bench.cores, "--sync", *image.tars])
    several, sync = rows[:-1], rows[-1]
    bench.results.add("import", str(image), f"floor: create, {targets.threads(bench.cores)}",
                      measure.Sample(sum(row[1] for row in several), sum(row[2] for row in several)))
    bench.results.add("import", str(image), "floor: syncfs afterwards", measure.Sample(sync[1], sync[2]))
    cpu = sum(row[2] for rows in (inflate, tar, blob, one) for row in rows)
    longest = max(row[1] for rows in (inflate, tar, blob, several) for row in rows)
    bench.results.add("import", str(image), "floor", measure.Sample(max(longest, cpu / bench.cores), cpu))
