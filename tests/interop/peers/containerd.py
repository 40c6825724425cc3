"""A containerd of our own: its socket, content and snapshots in a directory, gone with it."""
import contextlib
import pathlib
import subprocess
import tarfile
import time

from .session import ENVIRONMENT, Failed, run

# What a daemon of the whole host would do besides.
NOT_NEEDED = ("io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.restart",
              "io.containerd.internal.v1.tracing", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
              "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.runtime.v1.linux",
              "io.containerd.runtime.v2.task", "io.containerd.tracing.processor.v1.otlp")


class Containerd:
    """with Containerd(place) as daemon: …"""

    def __init__(self, place):
        self.place = pathlib.Path(place)
        self.socket = self.place / "socket"
        self.images = 0

    def __enter__(self):
        config = self.place / "config.toml"
        config.write_text(f'version = 2\nroot = "{self.place}/root"\nstate = "{self.place}/state"\n'
                          f'disabled_plugins = {list(NOT_NEEDED)}\n'
                          f'[grpc]\n  address = "{self.socket}"\n[ttrpc]\n  address = "{self.socket}.ttrpc"\n'.replace("'", '"'))
        with open(self.place / "log", "wb") as log:
            self.daemon = subprocess.Popen(["containerd", "--config", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                           cwd=self.place, env=ENVIRONMENT)
        for _ in range(600):
            if self.daemon.poll() is not None:
                raise Failed(f"containerd ended: {(self.place / 'log').read_text()[-500:]}")
            if self.socket.exists() and subprocess.run(["ctr", "-a", self.socket, "version"], stdout=subprocess.DEVNULL,
                                                       stderr=subprocess.DEVNULL, check=False).returncode == 0:
                return self
            time.sleep(0.1)
        raise Failed("containerd doesn't answer")

    def __exit__(self, *_):
        self.daemon.terminate()
        self.daemon.wait()

    def ctr(self, *arguments):
        return run("ctr", "-a", self.socket, *arguments)

    @contextlib.contextmanager
    def mounted(self, layout, snapshotter, target):
        """Unpacks an image under a name of its own, and mounts it. ctr names the mount's snapshot by the target."""
        self.images += 1
        name = f"strata.test/{self.images}"
        archive = self.place / "image.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(layout.path, ".")
        self.ctr("images", "import", "--snapshotter", snapshotter, "--base-name", name, archive)
        self.ctr("images", "mount", "--snapshotter", snapshotter, f"{name}:latest", target)
        try:
            yield
        finally:
            self.ctr("images", "unmount", "--snapshotter", snapshotter, "--rm", target)
