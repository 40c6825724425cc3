"""The images of a corpus: OCI layouts NAME-gzip and NAME-zstd, tag "latest"."""
import hashlib
import json
import pathlib
import subprocess


class Image:
    """One image in one compression. `layers`: files, base first; `tars`: the same uncompressed, in WORK; `archive`: a tar
    of the layout, as daemons are given it; `chain`: the chain ids that a store must say."""

    def __init__(self, corpus, work, name, codec):
        self.name, self.codec = name, codec
        self.layout = corpus / f"{name}-{codec}"
        manifest = self._json(json.loads((self.layout / "index.json").read_text())["manifests"][0]["digest"])
        self.layers = [self._blob(layer["digest"]) for layer in manifest["layers"]]
        self.diff_ids = self._json(manifest["config"]["digest"])["rootfs"]["diff_ids"]
        self.chain = self.diff_ids[:1]
        for diff_id in self.diff_ids[1:]:
            self.chain.append("sha256:" + hashlib.sha256(f"{self.chain[-1]} {diff_id}".encode()).hexdigest())
        self.folder = work / "images" / name
        self.tars = [self.folder / f"{number:03}.tar" for number in range(len(self.layers))]
        self.archive = self.folder / f"{codec}.tar"

    def __str__(self):
        return f"{self.name} {self.codec}"

    def prepare(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        for layer, tar in zip(self.layers, self.tars):
            if not tar.exists():
                part = tar.with_suffix(".part")
                with layer.open("rb") as source, part.open("wb") as target:
                    subprocess.run([{"gzip": "gzip", "zstd": "zstd"}[self.codec], "-dc"], stdin=source, stdout=target, check=True)
                part.rename(tar)
        if not self.archive.exists():
            part = self.archive.with_suffix(".part")
            subprocess.run(["tar", "-C", self.layout, "-cf", part, "."], check=True)
            part.rename(self.archive)

    def inputs(self):
        return [*self.layers, *self.tars, self.archive]

    def _blob(self, digest):
        return pathlib.Path(self.layout, "blobs", *digest.split(":"))

    def _json(self, digest):
        return json.loads(self._blob(digest).read_text())


def find(corpus, work, names):
    """The images by name, of all compressions that are there; all that there are where no names are given."""
    found = sorted(path.name for path in corpus.iterdir() if (path / "index.json").exists())
    known = list(dict.fromkeys(name.rpartition("-")[0] for name in found))
    for name in names:
        if name not in known:
            raise SystemExit(f"compare: there is no image {name} in {corpus}; there are {', '.join(known)}")
    return {name: [Image(corpus, work, name, codec) for codec in ("gzip", "zstd") if f"{name}-{codec}" in found]
            for name in names or known}
