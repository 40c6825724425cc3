"""OCI image layouts: reading one, and putting layers into a new one."""
import gzip
import hashlib
import json
import pathlib
import subprocess

from .session import ENVIRONMENT

LAYER = "application/vnd.oci.image.layer.v1.tar"


class Layout:
    """An image layout with one image, tagged "latest"."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def blob(self, digest):
        return self.path / "blobs" / digest.replace(":", "/")

    def manifest(self):
        return json.loads(self.blob(json.loads((self.path / "index.json").read_text())["manifests"][0]["digest"]).read_bytes())

    def layers(self):
        """Paths of the blobs of the layers, base first."""
        return [self.blob(layer["digest"]) for layer in self.manifest()["layers"]]

    def chain_id(self):
        """Of all layers (config.md of the OCI image specification)."""
        chain = ""
        for diff_id in json.loads(self.blob(self.manifest()["config"]["digest"]).read_bytes())["rootfs"]["diff_ids"]:
            chain = "sha256:" + hashlib.sha256(f"{chain} {diff_id}".encode()).hexdigest() if chain else diff_id
        return chain

    def _add_blob(self, data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.blob(digest).parent.mkdir(parents=True, exist_ok=True)
        self.blob(digest).write_bytes(data)
        return {"digest": digest, "size": len(data)}


def uncompressed(layer):
    """The tar in a layer's blob."""
    data = pathlib.Path(layer).read_bytes()
    if data.startswith(b"\x1f\x8b"):
        return gzip.decompress(data)
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        return subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, check=True, env=ENVIRONMENT).stdout
    return data


def media_type(layer):
    with open(layer, "rb") as file:
        start = file.read(4)
    return LAYER + ("+gzip" if start.startswith(b"\x1f\x8b") else "+zstd" if start == b"\x28\xb5\x2f\xfd" else "")


def make_layout(path, layers):
    """A new image of these layer files, as they are, base first. They are read whole: for small ones."""
    layout = Layout(path)
    diff_ids = ["sha256:" + hashlib.sha256(uncompressed(layer)).hexdigest() for layer in layers]
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids},
              "history": [{"created": "2020-01-01T00:00:00Z"} for _ in layers]}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                   **layout._add_blob(json.dumps(config).encode())},
        "layers": [{"mediaType": media_type(layer), **layout._add_blob(pathlib.Path(layer).read_bytes())}
                   for layer in layers]}
    entry = {"mediaType": manifest["mediaType"], **layout._add_blob(json.dumps(manifest).encode()),
             "annotations": {"org.opencontainers.image.ref.name": "latest"}}
    (layout.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (layout.path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return layout
