"""What the sections share: the programs, the disk, and how a thing is timed."""
import os
import pathlib
import subprocess

from . import measure, peers


class Bench:
    """`build`: a build tree of strata; `place`: a directory on the disk; `touch`: MiB of memory that are touched before
    each timing."""

    def __init__(self, build, place, results, options):
        self.build, self.place, self.results = build, place, results
        self.runs, self.touch, self.rounds = options.runs, options.touch, getattr(options, "rounds", 1)
        self.cores = os.cpu_count()
        wanted = getattr(options, "peers", ())
        self.peers = [peer for peer in peers.ALL if peer.name in wanted and not peer.missing()]

    def peer(self, name):
        return next((peer for peer in self.peers if peer.name == name), None)

    def program(self, name):
        return self.build / "benchmarks" / name

    def layerctl(self, store, *words, durability="none"):
        return [self.build / "examples" / "layerctl", "--root", store, "--quiet", "--durability", durability, *words]

    def settle(self, inputs=()):
        """Nothing is dirty, inputs are in the cache, and memory is there to be had."""
        subprocess.run(["sync", "--file-system", self.place], check=True)
        for path in inputs:
            with pathlib.Path(path).open("rb", buffering=0) as file:
                buffer = bytearray(1 << 20)
                while file.readinto(buffer):
                    pass
        if self.touch:
            measure.read([self.program("floor_touch"), self.touch])

    def timed(self, section, image, name, command, inputs=(), **options):
        """True where it worked."""
        self.settle(inputs)
        try:
            self.results.add(section, str(image), name, measure.run(command, **options))
        except measure.Failed as error:
            self.results.add(section, str(image), name, error=error)
            return False
        return True

    def floor(self, section, image, name, command, inputs=(), cwd=None):
        """The rows of a floor program, kept as one sample: their sum."""
        self.settle(inputs)
        rows = measure.floor(command, cwd)
        self.results.add(section, str(image), name,
                         measure.Sample(sum(row[1] for row in rows), sum(row[2] for row in rows)))
        return rows

    def attempt(self, section, image, peer, work):
        """work(bench, image), where the peer is there; that it fails is a result too."""
        if self.peer(peer):
            try:
                work(self, image)
            except (measure.Failed, subprocess.CalledProcessError) as error:
                self.results.add(section, str(image), peer, error=error)

    def imported(self, store, image):
        """Imports without a clock, checks that the store says the ids that it must, and returns the topmost."""
        ids = measure.read(self.layerctl(store, "import", *image.layers)).split()
        check_chain(image, ids)
        return ids[-1]


def check_chain(image, ids):
    if ids != image.chain:
        raise measure.Failed(f"{image}: strata says {ids[-1:]}, the image's config {image.chain[-1:]}")
