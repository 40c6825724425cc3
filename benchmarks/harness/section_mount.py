"""Prepare, mount and unmount, over chains of every depth that the images have."""
import statistics

from . import measure, peers


def run(bench, images):
    by_depth = {label(both[0]): both[0] for both in reversed(images.values())}
    for image in by_depth.values():
        for _ in range(bench.runs):
            strata(bench, image)
            floors(bench, image)
            bench.attempt("mount", image, "containerd", containerd)
            bench.attempt("mount", image, "containers-storage", buildah)


def label(image):
    return f"{len(image.layers)} layer{'s' if len(image.layers) > 1 else ''}"


def add(bench, image, name, *microseconds):
    bench.results.add("mount", label(image), name, measure.Sample(sum(microseconds) / 1e6))


def numbers(command, cwd=None):
    return [float(field) for field in measure.read(command, cwd).split()]


def strata(bench, image):
    with peers.emptied(bench.place / "strata") as place:
        layer = bench.imported(place / "store", image)
        bench.settle()
        mount, unmount, _ = numbers([bench.program("mount"), bench.rounds, place / "store", layer])
        add(bench, image, "strata", mount, unmount)
        add(bench, image, "strata, mount alone", mount)
        add(bench, image, "strata, umount alone", unmount)
        pairs = [both(bench.layerctl(place / "store", "mount", layer, f"round-{n}"),
                      bench.layerctl(place / "store", "umount", f"round-{n}")) for n in range(few(bench))]
        add(bench, image, "layerctl mount and umount", statistics.median(pairs) * 1e6)


def few(bench):
    return max(1, bench.rounds // 20)


def both(*commands):
    return sum(measure.run(command).wall for command in commands)


def floors(bench, image):
    """Lowers by short relative names, which mount(2) takes fastest."""
    with peers.emptied(bench.place / "floor") as place:
        measure.read([bench.program("floor_create"), place / "t", bench.cores, *image.tars])
        lowers = [str(number) for number in reversed(range(len(image.tars)))]
        bench.settle()
        for how in ("classic", "modern"):
            try:
                prepare, mount, unmount = numbers([bench.program("floor_mount"), how, bench.rounds, place / "t", *lowers])
            except measure.Failed as error:  # a kernel before 6.5 has no modern one
                bench.results.add("mount", label(image), f"floor: {how}", error=error)
                continue
            add(bench, image, f"floor: {how}", prepare, mount, unmount)
            add(bench, image, f"floor: {how}, mount alone", mount)
            add(bench, image, f"floor: {how}, umount alone", unmount)


def containerd(bench, image):
    """`images mount` prepares a snapshot, and mounts it by the same code as a daemon's client would."""
    with bench.peer("containerd").stored(bench.place / "peer", image) as (ctr, _):
        whole = []
        bench.settle()
        for number in range(few(bench)):
            merged = bench.place / "peer" / f"merged-{number}"
            merged.mkdir()
            whole.append(both([*ctr, "images", "mount", "--rw", "localhost/bench:latest", merged],
                              [*ctr, "images", "unmount", merged]))
        add(bench, image, "containerd prepare, mount, umount", statistics.median(whole) * 1e6)
        client = statistics.median(both([*ctr, "version"], [*ctr, "version"]) for _ in range(few(bench)))
        add(bench, image, "containerd's client alone, twice", client * 1e6)


def buildah(bench, image):
    with bench.peer("containers-storage").stored(bench.place / "peer", image) as command:
        whole = []
        bench.settle()
        for number in range(few(bench)):
            name = f"round-{number}"
            whole.append(both([*command, "from", "--pull-never", "--name", name, "localhost/bench:1"],
                              [*command, "mount", name], [*command, "umount", name]))
        add(bench, image, "buildah from, mount, umount", statistics.median(whole) * 1e6)
