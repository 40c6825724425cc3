"""The programs that strata is compared with: how each imports an image, and what it does and doesn't do."""
import contextlib
import dataclasses
import os
import shutil
import subprocess
import time

from . import disk, measure

EXTRACT = "tar --numeric-owner --xattrs --xattrs-include='*' -xpf - -C"


@dataclasses.dataclass
class Command:
    words: list
    daemon: int | None = None  # a process whose time and memory count as well


@dataclasses.dataclass(frozen=True)
class Did:
    """What an import does. Seen on Debian 12's versions: given a blob that isn't its digest, a config with another diff
    id, a file with an attribute; and its system calls by strace."""
    blob: str
    diff_id: str
    xattrs: str
    sync: str


class Peer:
    name = ""
    programs = {}  # by the Debian package that has it
    codecs = ("gzip", "zstd")
    did = None

    def missing(self):
        """Packages."""
        return [package for package, program in self.programs.items() if not shutil.which(program)]

    @contextlib.contextmanager
    def importing(self, place, image):
        """Gives the Command that imports `image` below `place`, a directory; afterwards nothing is left."""
        raise NotImplementedError
        yield


class Containers(Peer):
    """skopeo into containers/storage, which podman and buildah share; buildah diffs and mounts it."""
    name = "containers-storage"
    programs = {"skopeo": "skopeo", "buildah": "buildah"}
    did = Did("checked", "not checked", "kept", "records, not the tree")

    def reference(self, place):
        return f"containers-storage:[overlay@{place}/root+{place}/run]localhost/bench:1"

    @contextlib.contextmanager
    def importing(self, place, image):
        with emptied(place):
            yield Command(["skopeo", "copy", "-q", f"oci:{image.layout}:latest", self.reference(place)])

    @contextlib.contextmanager
    def stored(self, place, image):
        with self.importing(place, image) as command:
            measure.run(command.words)
            yield ["buildah", "--root", place / "root", "--runroot", place / "run", "--storage-driver", "overlay"]


class Podman(Peer):
    name = "podman"
    programs = {"podman": "podman"}
    did = Did("checked", "not checked", "kept", "records, not the tree")

    @contextlib.contextmanager
    def importing(self, place, image):
        with emptied(place):
            yield Command(["podman", "--root", place / "root", "--runroot", place / "run", "--storage-driver", "overlay",
                           "load", "-q", "-i", image.archive])


class Umoci(Peer):
    name = "umoci"
    programs = {"umoci": "umoci"}
    codecs = ("gzip",)  # as of 0.4.7
    did = Did("checked", "checked", "kept", "nothing")

    @contextlib.contextmanager
    def importing(self, place, image):
        with emptied(place):
            yield Command(["umoci", "unpack", "--image", f"{image.layout}:latest", place / "bundle"])


class Tar(Peer):
    """A decompressor piped into GNU tar: every layer into a directory of its own."""
    name = "tar"
    did = Did("not checked", "not checked", "kept", "nothing")
    programs = {"tar": "tar", "zstd": "zstd"}
    extract = EXTRACT

    @staticmethod
    def decoder(image):
        if image.codec == "zstd":
            return "zstd -dc"
        return "igzip -dc" if shutil.which("igzip") else "gzip -dc"

    @contextlib.contextmanager
    def importing(self, place, image):
        with emptied(place):
            lines = ["set -e"]
            for number, layer in enumerate(image.layers):
                lines.append(f"mkdir {place}/{number}; {self.pipe(image, layer)} {place}/{number}")
            yield Command(["sh", "-c", "\n".join(lines)])

    def pipe(self, image, layer):
        return f"{self.decoder(image)} <{layer} | {self.extract}"


class Bsdtar(Tar):
    name = "bsdtar"
    programs = {"libarchive-tools": "bsdtar"}
    extract = "LC_ALL=C.UTF-8 bsdtar --numeric-owner -xpf - -C"

    def pipe(self, image, layer):
        return f"{self.extract.replace(' -xpf -', f' -xpf {layer}')}"


class Containerd(Peer):
    """A daemon of our own for each import, with an empty store."""
    name = "containerd"
    programs = {"containerd": "containerd"}
    did = Did("checked", "checked", "kept", "blobs and records, not the tree")

    @contextlib.contextmanager
    def importing(self, place, image):
        with self.daemon(place) as (ctr, process):
            yield Command([*ctr, "images", "import", "--base-name", "localhost/bench", image.archive], process)

    @contextlib.contextmanager
    def daemon(self, place):
        """Gives the words that begin each command of its client, and its process id."""
        with emptied(place):
            socket = place / "socket"
            plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
            plugins += [f"io.containerd.snapshotter.v1.{name}" for name in ("btrfs", "zfs", "aufs", "devmapper")]
            (place / "config.toml").write_text(
                f'version = 2\nroot = "{place}/root"\nstate = "{place}/state"\ndisabled_plugins = {plugins}\n'
                f'[grpc]\naddress = "{socket}"\n')
            with (place / "log").open("w") as log:
                process = subprocess.Popen(["containerd", "-c", place / "config.toml", "-l", "error"], stdout=log,
                                           stderr=log, start_new_session=True)
            ctr = ["ctr", "--address", socket, "--namespace", "bench"]
            try:
                for _ in range(100):
                    if subprocess.run([*ctr, "version"], capture_output=True, check=False).returncode == 0:
                        break
                    time.sleep(0.1)
                yield ctr, process.pid
            finally:
                process.terminate()
                process.wait()

    @contextlib.contextmanager
    def stored(self, place, image):
        """The same, with the image unpacked as localhost/bench:latest."""
        with self.daemon(place) as (ctr, process):
            measure.read([*ctr, "images", "import", "--base-name", "localhost/bench", image.archive])
            yield ctr, process


ALL = [Containerd(), Containers(), Podman(), Umoci(), Tar(), Bsdtar()]


@contextlib.contextmanager
def emptied(place):
    """`place`, empty, until the end of the scope."""
    disk.clean(place)
    os.makedirs(place)
    try:
        yield place
    finally:
        disk.clean(place)
