#!/usr/bin/env python3
"""Who wrote an image, and who reads it: skopeo, podman, buildah, umoci, containerd's ctr and strata, in every form that both know.

  matrix.py LAYERCTL

One image of three layers, with whiteouts and links, is written by each writer in each form; each reader reads it, and what it
has then is compared: digests of manifest, config and blobs where the form keeps them, diff ids everywhere. Prints the table of
docs/interop.md. Needs root, docker-registry, skopeo and a mount namespace; programs that are missing are left out. Exits 77
without.
"""
import gzip
import hashlib
import json
import os
import pathlib
import shutil
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "interop"))

from peers import session, small_image  # noqa: E402
from peers.containerd import Containerd  # noqa: E402
from peers.oci_layout import Layout, make_layout, uncompressed  # noqa: E402
from peers.session import Failed, run  # noqa: E402
from registries import Registry  # noqa: E402

FORMS = ("oci", "oci-archive", "docker-archive", "registry")


class Table:
    """What is to be written where, and by whom it is read. A place is named as skopeo names it."""

    def __init__(self, own, registry):
        self.own, self.registry, self.number, self.read_by_ctr = own, registry, 0, 0
        self.podman = ["podman", "--root", own.scratch / "graph", "--runroot", own.scratch / "run", "--storage-driver", "vfs"]
        self.buildah = ["buildah", *self.podman[1:]]

    def place(self, form):
        self.number += 1
        if form == "registry":
            return f"docker://{self.registry.name}/image{self.number}:1"
        return f"{form}:{self.own.scratch}/made{self.number}" + (":1" if form == "oci" else "")

    # --- writers: from the layout of the beginning to a place -----------------------------------------------------------------
    def write_skopeo(self, layout, place):
        skopeo(f"oci:{layout.path}:latest", place)

    def write_podman(self, layout, place):
        run(*self.podman, "pull", "--quiet", f"oci:{layout.path}:latest")
        image = run(*self.podman, "images", "--quiet", "--no-trunc").decode().split()[0]
        if place.startswith("docker://"):
            run(*self.podman, "push", "--quiet", "--tls-verify=false", image, place)
        else:
            form, path, *_ = place.split(":")
            if form == "oci":
                run(*self.podman, "push", "--quiet", image, place)
            else:
                run(*self.podman, "save", "--quiet", "--format", form, "-o", path, image)
        run(*self.podman, "rmi", "--force", image)

    def write_buildah(self, layout, place):
        image = run(*self.buildah, "pull", "--quiet", f"oci:{layout.path}:latest").decode().split()[0]
        run(*self.buildah, "push", "--quiet", "--tls-verify=false", image, place)
        run(*self.buildah, "rmi", "--force", image)

    def write_umoci(self, layout, place):
        """A layout of umoci's own, to which it adds the layers."""
        path = place.split(":")[1]
        run("umoci", "init", "--layout", path)
        run("umoci", "new", "--image", f"{path}:1")
        for number, layer in enumerate(layout.layers()):
            tar = self.own.scratch / f"layer{number}.tar"
            tar.write_bytes(uncompressed(layer))
            run("umoci", "raw", "add-layer", "--image", f"{path}:1", tar)

    def write_ctr(self, layout, place):
        archive = self.own.scratch / "ctr-in.tar"
        archive.unlink(missing_ok=True)
        skopeo(f"oci:{layout.path}:latest", f"oci-archive:{archive}:1")
        name = place[len("docker://"):] if place.startswith("docker://") else f"strata.test/image{self.number}:1"
        self.containerd.ctr("images", "import", "--base-name", name.rpartition(":")[0], archive)
        if place.startswith("docker://"):
            self.containerd.ctr("images", "push", "--plain-http", name)
        else:
            self.containerd.ctr("images", "export", place.split(":")[1], name)

    def write_strata(self, layout, place):
        self.own.strata("load", f"oci:{layout.path}:latest", "--tag", "image:1")
        if place.startswith("docker://"):
            self.own.strata("push", "image:1", place, "--plain-http")
        else:
            self.own.strata("save", "image:1", place)

    def write_strata_copy(self, layout, place):
        self.own.strata("copy", f"oci:{layout.path}:latest", place, "--dest-plain-http")

    # --- readers: from a place to a layout, which is compared with that of the beginning ----------------------------------------
    def read_skopeo(self, place, into):
        skopeo(place, f"oci:{into}:latest")

    def read_podman(self, place, into):
        self.through_storage(self.podman, place, into)

    def read_buildah(self, place, into):
        self.through_storage(self.buildah, place, into)

    def through_storage(self, program, place, into):
        image = run(*program, "pull", "--quiet", "--tls-verify=false", place).decode().split()[-1]
        run(*program, "push", "--quiet", image, f"oci:{into}:latest")
        run(*program, "rmi", "--force", image)

    def read_umoci(self, place, into):
        """It writes no copy that could be compared; what it made of one is, file by file, elsewhere (peers_rootfs.py)."""
        path = place.split(":")[1]
        bundle = self.own.scratch / "bundle"
        run("umoci", "unpack", "--image", f"{path}:1", bundle)
        session.remove(bundle)
        return "unpacks"

    def read_ctr(self, place, into):
        if place.startswith("docker://"):
            name = place[len("docker://"):]
            self.containerd.ctr("images", "pull", "--plain-http", "--snapshotter", "native", name)
        else:
            self.read_by_ctr += 1
            name = f"strata.test/read{self.read_by_ctr}"
            before = self.images_of_ctr()
            self.containerd.ctr("images", "import", "--digests", "--base-name", name, "--snapshotter", "native", place.split(":")[1])
            name = min(self.images_of_ctr() - before)
        archive = self.own.scratch / "ctr-out.tar"
        archive.unlink(missing_ok=True)
        self.containerd.ctr("images", "export", archive, name)
        into.mkdir()
        run("tar", "-xf", archive, "-C", into)

    def images_of_ctr(self):
        return set(self.containerd.ctr("images", "list", "--quiet").decode().split())

    def read_strata(self, place, into):
        options = ["--plain-http"] if place.startswith("docker://") else []
        self.own.strata("pull", place, "--tag", "read", *options)
        self.own.strata("save", "read", f"oci:{into}:latest")
        self.own.strata("remove-image", "--force", "read")

    def read_strata_copy(self, place, into):
        self.own.strata("copy", place, f"oci:{into}:latest", "--src-plain-http")


def skopeo(source, target):
    run("skopeo", "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false", source, target)


def facts(layout):
    """What is compared."""
    top = json.loads((layout.path / "index.json").read_text())["manifests"][0]["digest"]
    manifest = layout.manifest()
    config = layout.blob(manifest["config"]["digest"]).read_bytes()
    for layer in layout.layers():  # they are what they are called
        if hashlib.sha256(layer.read_bytes()).hexdigest() != layer.name:
            raise Failed(f"{layer} has another digest")
    return {"manifest": top, "config": manifest["config"]["digest"], "blobs": [l["digest"] for l in manifest["layers"]],
            "diff ids": json.loads(config)["rootfs"]["diff_ids"],
            "tars": ["sha256:" + hashlib.sha256(uncompressed(layer)).hexdigest() for layer in layout.layers()]}


# Who writes what, and who reads it.
WRITERS = {"skopeo": FORMS, "podman": FORMS, "buildah": FORMS, "umoci": ("oci",), "ctr": ("oci-archive", "registry"),
           "strata": FORMS, "strata copy": FORMS}
READERS = {"skopeo": FORMS, "podman": FORMS, "buildah": FORMS, "umoci": ("oci",), "ctr": ("oci-archive", "docker-archive", "registry"),
           "strata": FORMS, "strata copy": FORMS}
PROGRAMS = {"skopeo": "skopeo", "podman": "podman", "buildah": "buildah", "umoci": "umoci", "ctr": "containerd"}


def kept(before, after):
    """The most that is the same."""
    if after["diff ids"] != before["diff ids"] or after["tars"] != before["diff ids"]:
        return None
    for what in ("manifest", "blobs", "config"):
        if after[what] == before[what]:
            return {"manifest": "all", "blobs": "blobs", "config": "config"}[what]
    return "layers"


class Failures(list):
    def append(self, failure):
        print(f"  {failure}", flush=True)
        super().append(failure)


def check(own, _):
    if not own.privileged:
        session.skip("the peers want root")
    with own.directory("small") as small, Registry(own.scratch) as registry:
        image, _ = small_image.make(own, small)
        # In gzip, all of them: skopeo compresses plain layers when it copies an image, and so would change what is compared.
        layers = []
        for number, layer in enumerate(image.layers()):
            layers.append(own.scratch / f"source{number}.tar.gz")
            layers[-1].write_bytes(gzip.compress(uncompressed(layer), mtime=0))
        source = make_layout(own.scratch / "source", layers)
        table = Table(own, registry)
        table.containerd = Containerd(make_directory(own.scratch / "containerd"))
        have = {name for name in (*WRITERS, *READERS) if name not in PROGRAMS or shutil.which(PROGRAMS[name])}
        if "ctr" in have:
            table.containerd.start()
        try:
            failures = fill(table, source, have)
        finally:
            if "ctr" in have:
                table.containerd.stop()
    if failures:
        raise Failed("; ".join(failures))


def make_directory(path):
    path.mkdir()
    return path


def fill(table, source, have):
    failures, rows = Failures(), []
    for writer, forms in WRITERS.items():
        for form in forms:
            if writer not in have:
                continue
            place = table.place(form)
            method = writer.replace(" ", "_")
            try:
                getattr(table, f"write_{method}")(source, place)
            except Failed as failure:
                failures.append(f"{writer} writes {form}: {failure}")
                continue
            # What was written, as skopeo sees it: what the others are measured by.
            reference = table.own.scratch / "reference"
            try:
                skopeo(place, f"oci:{reference}:latest")
            except Failed as failure:
                failures.append(f"skopeo doesn't read what {writer} writes as {form}: {failure}")
                continue
            written = facts(Layout(reference))
            session.remove(reference)
            row = [writer, form, kept(facts(source), written) or "?"]
            if row[2] == "?":
                failures.append(f"{writer} as {form} has other layers")
            for reader, known in READERS.items():
                row.append("" if form not in known or reader not in have else read(table, reader, place, written, failures, f"{writer} as {form}"))
            rows.append(row)
            print("|", " | ".join(row), "|", flush=True)
    print("\n| written by | as | keeps |", " | ".join(READERS), "|")
    print("|" + "---|" * (3 + len(READERS)))
    for row in rows:
        print("|", " | ".join(row), "|")
    return failures


def read(table, reader, place, written, failures, what):
    into = table.own.scratch / "into"
    try:
        said = getattr(table, f"read_{reader.replace(' ', '_')}")(place, into)
        if said:
            return said
        result = kept(written, facts(Layout(into)))
        if result is None:
            failures.append(f"{reader} reads other layers from what was written by {what}")
        elif reader.startswith("strata") and result != "all" and "docker-archive" not in place:
            failures.append(f"{reader} keeps only {result} of what was written by {what}")
        return result or "?"
    except Failed as failure:
        failures.append(f"{reader} reads what was written by {what}: {failure}")
        return "no"
    finally:
        if into.exists():
            session.remove(into)


session.main(__doc__, ["docker-registry", "skopeo"], check)
