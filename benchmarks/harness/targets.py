"""What strata is meant to reach, and whether a run shows that it does."""
import dataclasses
import os

MOST_MEMORY = 64 << 10  # KiB
IMPORTERS = ("containerd", "containers-storage", "umoci")


@dataclasses.dataclass
class Target:
    section: str
    image: str
    what: str
    measured: float
    wanted: float
    at_least: bool  # else: at most
    unit: str = "times"

    @property
    def reached(self):
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted

    @property
    def goal(self):
        return f"{'at least' if self.at_least else 'at most'} {self.wanted:g} {self.unit}"


def judge(results):
    found = []
    for image in results.images("import"):
        found += judge_import(results, image)
    for section, rows in OTHERS.items():
        for image in results.images(section):
            for what, name, other, at_least, wanted in rows:
                strata = results.median(section, image, name)
                peer = results.median(section, image, other.format(cores=threads(os.cpu_count())))
                if strata and peer:
                    ratio = peer / strata if at_least else strata / peer
                    found.append(Target(section, image, what, ratio, wanted, at_least))
    for section in dict.fromkeys(key[0] for key in results.samples):
        peaks = [(results.median(*key, "rss") or 0, key[1]) for key in results.samples
                 if key[0] == section and key[2].startswith("strata")]
        if peaks and max(peaks)[0]:
            peak, image = max(peaks)
            found.append(Target(section, image, "peak memory", peak / 1024, MOST_MEMORY / 1024, False, "MiB"))
    return found


def threads(count):
    return f"{count} thread{'s' if count > 1 else ''}"


# By section: what is said, strata's name, the other's, whether strata is to be faster by this factor, the factor. In a
# floor's name {cores} is "N threads", one for each.
OTHERS = {
    "diff": [
        ("faster than buildah commit", "strata, upper", "buildah commit", True, 8),
        ("faster than containerd", "strata, upper", "containerd", True, 100),
        ("two trees: faster than containerd", "strata, two trees", "containerd", True, 20),
        ("two trees: of reading both", "strata, two trees", "floor: read both trees, {cores}", False, 1.5),
        ("two trees, times trusted: faster than containerd", "strata, two trees, times trusted", "containerd", True, 20),
        ("two trees, times trusted: of the walk over both", "strata, two trees, times trusted",
         "floor: walk both trees, {cores}", False, 1.5),
    ],
    "export": [("of cat", "strata", "floor: cat", False, 1.5)],
    "verify": [("of reading and XXH3", "strata", "floor: read and xxh3, {cores}", False, 1.3)],
    "mount": [
        ("of the bare system calls", "strata", "floor: classic", False, 1.2),
        ("faster than containerd", "strata", "containerd prepare, mount, umount", True, 50),
        ("faster than buildah", "strata", "buildah from, mount, umount", True, 50),
    ],
}


def judge_import(results, image):
    def of(name, what="wall"):
        return results.median("import", image, name, what)

    strata, cpu = of("strata"), of("strata", "cpu")
    if not strata:
        return
    peers = [name for name in IMPORTERS if of(name)]
    if peers:
        fastest = min(peers, key=of)
        yield Target("import", image, f"faster than the fastest store ({fastest})", of(fastest) / strata, 5, True)
        least = min(peers, key=lambda name: of(name, "cpu"))
        yield Target("import", image, f"less CPU than the most frugal store ({least})", of(least, "cpu") / cpu, 4, True)
    if of("tar"):
        yield Target("import", image, "faster than a decompressor piped into tar", of("tar") / strata, 1, True)
    if of("floor"):
        yield Target("import", image, "of the floor", strata / of("floor"), 1.3, False)
    durable, sync = of("strata, durable"), of("floor: syncfs afterwards")
    if durable and sync:
        yield Target("import", image, "durable, less the floor's syncfs: of strata without", (durable - sync) / strata, 1.5,
                     False)
