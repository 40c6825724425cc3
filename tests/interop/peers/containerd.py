"""A containerd of our own: its socket, content and snapshots in a directory, gone with it."""
import contextlib
import pathlib
import shlex
import subprocess
import tarfile
import time

from .roots import may_refuse
from .session import ENVIRONMENT, Failed, run

# What a daemon of the whole host would do besides.
NOT_NEEDED = ("io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.restart",
              "io.containerd.internal.v1.tracing", "io.containerd.snapshotter.v1.aufs",
              "io.containerd.snapshotter.v1.btrfs",
              "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
              "io.containerd.runtime.v1.linux",
              "io.containerd.runtime.v2.task", "io.containerd.tracing.processor.v1.otlp")


class Containerd:
    """start() it, and stop() it in the end."""

    def __init__(self, place):
        self.place = pathlib.Path(place)
        self.socket = self.place / "socket"
        self.images = 0

    def start(self):
        config = self.place / "config.toml"
        config.write_text(f'version = 2\nroot = "{self.place}/root"\nstate = "{self.place}/state"\n'
                          f'disabled_plugins = {list(NOT_NEEDED)}\n'
                          # Nothing holds what is unpacked but its name.
                          '[plugins."io.containerd.gc.v1.scheduler"]\n  mutation_threshold = 0\n  startup_delay = "24h"\n'
                          f'[grpc]\n  address = "{self.socket}"\n[ttrpc]\n  address = "{self.socket}.ttrpc"\n'.replace("'", '"'))
        with open(self.place / "log", "wb") as log:
            self.daemon = subprocess.Popen(["containerd", "--config", config], stdin=subprocess.DEVNULL, stdout=log,
                                           stderr=log,
                                           cwd=self.place, env=ENVIRONMENT)
        for _ in range(600):
            if self.daemon.poll() is not None:
                raise Failed(f"containerd ended: {(self.place / 'log').read_text()[-500:]}")
            if self.socket.exists() and subprocess.run(["ctr", "-a", self.socket, "version"], stdout=subprocess.DEVNULL,
                                                       stderr=subprocess.DEVNULL, check=False).returncode == 0:
                return
            time.sleep(0.1)
        self.stop()
        raise Failed("containerd doesn't answer")

    def stop(self):
        self.daemon.terminate()
        self.daemon.wait()

    def ctr(self, *arguments):
        return run("ctr", "-a", self.socket, *arguments)

    @contextlib.contextmanager
    def mounted(self, layout, snapshotter, target):
        """Unpacks an image, and mounts it. Not by `ctr images mount`, which of 1.6 takes overlayfs whatever it is told."""
        self.images += 1
        name = f"strata.test/{self.images}"
        archive = self.place / "image.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(layout.path, ".")
        may_refuse("ctr", "-a", self.socket, "images", "import", "--snapshotter", snapshotter, "--base-name", name,
                   archive)
        self.ctr("snapshots", "--snapshotter", snapshotter, "view", name, layout.chain_id())
        command = self.ctr("snapshots", "--snapshotter", snapshotter, "mounts", target, name).decode()
        run(*shlex.split(command))
        try:
            yield
        finally:
            run("umount", target)
