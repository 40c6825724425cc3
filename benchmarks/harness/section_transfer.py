"""Pull from a registry on this machine (Debian's docker-registry), and push what was pulled to another, which has nothing yet:
strata and the peers. What the registries take is in everyone's wall time, and in nobody's CPU time."""
import contextlib
import random
import shutil
import subprocess
import time
import urllib.error
import urllib.request

from . import measure, peers

MISSING = [package for package, program in {"docker-registry": "docker-registry", "skopeo": "skopeo"}.items()
           if not shutil.which(program)]


def run(bench, images):
    if MISSING:
        print(f"pull and push are skipped; they need Debian's {' and '.join(MISSING)}")
        return
    with registry(bench.place / "registry") as address:
        for image in (image for both in images.values() for image in both):
            remote = f"{address}/{image.name}-{image.codec}:1"
            measure.read(["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{image.layout}:latest", f"docker://{remote}"])
            for _ in range(bench.runs):
                strata(bench, image, remote)
                containers(bench, image, remote)
                podman(bench, image, remote)
                containerd(bench, image, remote)


@contextlib.contextmanager
def registry(place):
    with peers.emptied(place):
        address = f"127.0.0.1:{random.randrange(10000, 32000)}"
        (place / "config.yml").write_text(
            f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {place}/data}}}}\n"
            f"http: {{addr: {address}}}\n")
        with (place / "log").open("w") as log:
            process = subprocess.Popen(["docker-registry", "serve", place / "config.yml"], stdout=log, stderr=log,
                                       start_new_session=True)
        try:
            for _ in range(100):
                with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(f"http://{address}/v2/"):
                    break
                time.sleep(0.1)
            if process.poll() is not None:
                raise measure.Failed(f"docker-registry ended: see {place}/log")
            yield address
        finally:
            process.terminate()
            process.wait()


def push(bench, image, name, words, daemon=None):
    """`words` of an address gives the command."""
    with registry(bench.place / "target") as address:
        bench.timed("push", image, name, words(f"{address}/bench:1"), daemon=daemon)


def strata(bench, image, remote):
    """Blobs are kept, as they are by default; the store is verified, outside of the clock."""
    for name, words in (("strata", []), ("strata, blobs not kept", ["--no-keep-blobs"])):
        with peers.emptied(bench.place / "strata") as place:
            command = bench.layerctl(place / "store", "pull", "--plain-http", *words, f"docker://{remote}")
            if bench.timed("pull", image, name, command):
                measure.read(bench.layerctl(place / "store", "verify", *image.chain))
                if not words:
                    push(bench, image, "strata",
                         lambda to: bench.layerctl(place / "store", "push", "--plain-http", remote, f"docker://{to}"))


def containers(bench, image, remote):
    peer = bench.peer("containers-storage")
    if peer:
        with peers.emptied(bench.place / "peer") as place:
            if bench.timed("pull", image, peer.name, ["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{remote}",
                                                      peer.reference(place)]):
                push(bench, image, peer.name, lambda to: ["skopeo", "copy", "-q", "--dest-tls-verify=false",
                                                          peer.reference(place), f"docker://{to}"])


def podman(bench, image, remote):
    if bench.peer("podman"):
        with peers.emptied(bench.place / "peer") as place:
            words = ["podman", "--root", place / "root", "--runroot", place / "run", "--storage-driver", "overlay"]
            if bench.timed("pull", image, "podman", [*words, "pull", "-q", "--tls-verify=false", remote]):
                push(bench, image, "podman", lambda to: [*words, "push", "-q", "--tls-verify=false", remote, to])


def containerd(bench, image, remote):
    peer = bench.peer("containerd")
    if peer:
        with peer.daemon(bench.place / "peer") as (ctr, process):
            if bench.timed("pull", image, peer.name, [*ctr, "images", "pull", "--plain-http", remote], daemon=process):
                push(bench, image, peer.name, lambda to: [*ctr, "images", "push", "--plain-http", to, remote], process)
