#!/usr/bin/env python3
"""Every image of a corpus of OCI layouts (NAME-gzip, NAME-zstd), through a real registry: copied there by skopeo, pulled, proven,
pushed elsewhere. Its digest stays, and skopeo finds each blob.

  corpus.py LAYERCTL CORPUS [IMAGE...]

Needs docker-registry and skopeo, a mount namespace, and room for the images; exits 77 without, or where there is no corpus.
"""
import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "interop"))

from layerctl_client import Cli  # noqa: E402
from peers import session  # noqa: E402
from registries import Registry  # noqa: E402


def read(*command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise session.Failed(f"{command}: {done.stderr}")
    return done.stdout.strip()


def through(own, layout):
    with own.directory("corpus") as place, Registry(place) as registry:
        cli, there, back = Cli(own.layerctl, place), f"{registry.name}/there:1", f"{registry.name}/back:1"
        read("skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:latest", f"docker://{there}")
        digest = read("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{there}")
        told = [cli("--durability", "none", "pull", "--plain-http", there), cli("push", "--plain-http", there, back)]
        if told != [digest] * 2 or cli("verify-image", "--prove") != f"{digest} ok":
            raise session.Failed(f"{layout.name}: {digest} there, and pulled and pushed {told}")
        read("skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{back}", f"oci:{place}/out:latest")
        for blob in (place / "out/blobs/sha256").iterdir():
            if blob.read_bytes() != (layout / "blobs/sha256" / blob.name).read_bytes():
                raise session.Failed(f"{layout.name}: other bytes of {blob.name}")
        layers = len(cli.json("show-image", there)["layers"])
        print(f"{layout.name}: {layers} layers, pulled and pushed as {digest}", flush=True)


def check(own, arguments):
    corpus = pathlib.Path(arguments[0]) if arguments and arguments[0] else None
    if corpus is None or not corpus.is_dir():
        session.skip("no corpus")
    for layout in sorted(corpus.iterdir()):
        if (layout / "index.json").exists() and (len(arguments) < 2 or layout.name.rpartition("-")[0] in arguments[1:]):
            through(own, layout.resolve())


session.main(__doc__, ["docker-registry", "skopeo"], check)
