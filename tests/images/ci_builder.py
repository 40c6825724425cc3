#!/usr/bin/env python3
"""examples/ci_builder builds an image on a base, runs a program in it, pushes it to a registry; then it is run from there.

  ci_builder.py CI_BUILDER LAYERCTL

The image is run by podman, pulled from the registry; where this host lets nobody but root make containers, or not even him,
by chroot in the mounted root. Needs docker-registry, and a mount namespace; exits 77 without.
"""
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "interop"))

from peers import session  # noqa: E402
from peers.oci_layout import make_layout  # noqa: E402
from registries import Registry  # noqa: E402

EPOCH = "1580608922"


def shell_layer(path):
    """A layer with this host's shell, and the libraries that it needs."""
    shell = os.path.realpath("/bin/sh")
    files = {"bin/sh": shell}
    said = subprocess.run(["ldd", shell], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"(/\S+) \(0x", said):
        files[library.lstrip("/")] = os.path.realpath(library)
    with tarfile.open(path, "w:gz") as tar:
        for name, source in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            data = pathlib.Path(source).read_bytes()
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
        for name in ("tmp", "proc", "dev", "sys", "etc", "run"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
    return path


def make_app(path):
    path.mkdir()
    for name, text in {"configure": "echo configured > /srv/app/state\n",
                       "run": "read state < state && echo hello from the image, $state\n"}.items():
        (path / name).write_text("#!/bin/sh\n" + text)
        (path / name).chmod(0o755)
    return path


def build(builder, own, store, registry, name):
    done = subprocess.run([builder, "--plain-http", own.scratch / store, f"oci:{own.scratch}/base:latest", "app", "app:1",
                           f"docker://{registry.name}/{name}"], capture_output=True, text=True, cwd=own.scratch,
                          env=dict(session.ENVIRONMENT, SOURCE_DATE_EPOCH=EPOCH), stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise session.Failed(f"ci_builder: {done.stderr}")
    return done.stdout


def by_podman(own, registry):
    """What the container says; None where this host doesn't let podman run any, and why is printed."""
    if not own.privileged or shutil.which("podman") is None:
        print("not by podman: it is to be run by root here, where it is there")
        return None
    # crun refuses hosts that have both kinds of cgroups; here, in a mount namespace, there is but one.
    subprocess.run(["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"], check=False, capture_output=True)
    podman = ["podman", "--root", own.scratch / "graph", "--runroot", own.scratch / "run", "--storage-driver", "vfs",
              "--cgroup-manager", "cgroupfs"]

    def run(image, *command):
        return subprocess.run([*podman, "run", "--rm", "--network", "none", "--cgroups", "disabled", "--ulimit", "nofile=256:256",
                               "--ulimit", "nproc=256:256", image, *command], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, env=session.ENVIRONMENT, check=False)

    session.run(*podman, "pull", "--quiet", "--tls-verify=false", f"{registry.name}/app:1")
    done = run(f"{registry.name}/app:1")
    if done.returncode != 0:
        # What strata had no part in, tells whether podman runs anything here.
        base = session.run(*podman, "pull", "--quiet", f"oci:{own.scratch}/base:latest").decode().strip()
        if run(base, "/bin/sh", "-c", "exit 0").returncode == 0:
            raise session.Failed(f"podman runs the base, and not the image: {done.stderr.strip()}")
        print(f"not by podman: {done.stderr.strip()}")
        return None
    print("podman run, pulled from the registry")
    return done.stdout


def by_chroot(own, registry):
    root = own.strata("run-root", f"docker://{registry.name}/app:1", "c", "--plain-http", store="other").decode().strip()
    said = session.run("chroot", root, "/bin/sh", "-c", "cd /srv/app && exec ./run").decode()
    own.strata("umount", "c", store="other")
    print("chroot in the mounted root, pulled from the registry")
    return said


def check(own, arguments):
    builder = pathlib.Path(sys.argv[1]).resolve()
    own.layerctl = pathlib.Path(arguments[0]).resolve()
    make_layout(own.scratch / "base", [shell_layer(own.scratch / "base.tar.gz")])
    make_app(own.scratch / "app")
    with Registry(own.scratch) as registry:
        first = build(builder, own, "store", registry, "app:1")
        if first.count("step:   ") != 2:
            raise session.Failed(f"not two steps: {first}")
        again = build(builder, own, "store", registry, "app:2")
        if again != first.replace("step:   ", "cached: "):
            raise session.Failed(f"the second time it isn't the same from the cache: {first}{again}")
        if build(builder, own, "elsewhere", registry, "app:3") != first:
            raise session.Failed("another store gives another image")
        print("built twice in one store, the second time from its cache, and once in another: one digest")
        for run in (by_podman, by_chroot):
            said = run(own, registry)
            if said is not None and said != "hello from the image, configured\n":
                raise session.Failed(f"{run.__name__}: {said!r}")
        config = json.loads(own.strata("show-image", "app:1"))["config"]
        if [entry["created_by"] for entry in config["history"][1:]] != ["COPY app /srv/app", "RUN configure"]:
            raise session.Failed(f"the history: {config['history']}")
        if (own.scratch / "store/containers").is_dir() and list((own.scratch / "store/containers").iterdir()):
            raise session.Failed("a container was left")


session.main(__doc__, ["docker-registry", "ldd", "chroot"], check)
