"""Where a script works: a private mount namespace, a scratch directory, and no trace afterwards."""
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

INSIDE = "STRATA_PEERS_SCRATCH"
# What is in C.UTF-8 stays what it is; times and owners in the output are the same everywhere.
ENVIRONMENT = dict(os.environ, LC_ALL="C.UTF-8", TZ="UTC")


class Failed(Exception):
    pass


class Refused(Failed):
    """A program doesn't take what it was given."""


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def run(*command, cwd=None, stdin=None, silent=False):
    """Standard output. A command that fails, or is not silent where it should be, fails the script."""
    done = subprocess.run([os.fspath(c) for c in command], cwd=cwd, stdin=stdin or subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
    if done.returncode != 0 or (silent and done.stderr):
        error = done.stderr.decode(errors="replace").strip()
        raise Failed(f"{' '.join(map(str, command))}: exit {done.returncode}: {error}")
    return done.stdout


def ids():
    """How many user ids there are in this namespace."""
    return sum(int(line.split()[2]) for line in pathlib.Path("/proc/self/uid_map").read_text().splitlines())


@dataclasses.dataclass
class Session:
    layerctl: pathlib.Path
    scratch: pathlib.Path

    # Root over all ids, who may make devices and write trusted.*; or root of a user namespace, of many ids or of one.
    privileged = property(lambda self: ids() == 4294967295)
    many_ids = property(lambda self: ids() > 1)

    def strata(self, *arguments, store="store", stdin=None):
        """layerctl on the store of this name; what it prints."""
        return run(self.layerctl, "--root", self.scratch / store, "--quiet", *arguments, stdin=stdin)

    def show(self, layer):
        """The record of a layer."""
        return json.loads(self.strata("--json", "show", layer))

    def import_layer(self, file, parent=None, store="store"):
        options = ["--parent", parent] if parent else []
        if not self.many_ids:
            options.append("--squash-owners")
        return self.strata("import", file, *options, store=store).decode().strip()

    def import_chain(self, files):
        layer = None
        for file in files:
            layer = self.import_layer(file, layer)
        return layer

    @contextlib.contextmanager
    def mounted(self, layer, name, *options):
        """The merged root of a container, which stays when it is unmounted."""
        yield pathlib.Path(os.fsdecode(self.strata("mount", layer, name, *options)).rstrip("\n"))
        self.strata("umount", name)

    def apply(self, layer_tar, directory, *options):
        owners = [] if self.many_ids else ["--squash-owners"]
        with open(layer_tar, "rb") as layer:
            self.strata("apply", directory, *owners, *options, stdin=layer)

    @contextlib.contextmanager
    def directory(self, name):
        """An empty directory of the scratch one, removed with whatever gets into it."""
        path = self.scratch / name
        path.mkdir()
        yield path
        remove(path)


def remove(path):
    # Directories without the right to write, in which nobody but root of all may delete.
    subprocess.run(["chmod", "-R", "u+rwX", path], stderr=subprocess.DEVNULL, check=False)
    shutil.rmtree(path)


def enter_namespace(scratch):
    """Runs this script again, inside a mount namespace (and for an ordinary user, a user namespace) of its own."""
    namespaces = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        namespaces += ["--user", "--map-root-user"]
    if subprocess.run([*namespaces, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        skip("no mount namespace for this user")
    return subprocess.run([*namespaces, sys.executable, "-B", *sys.argv], env=dict(os.environ, **{INSIDE: scratch}),
                          check=False).returncode


def prepare(scratch):
    """Covers what other programs keep of their own outside of what they are told, and finds a place for an upper."""
    if ids() == 4294967295:
        for place in ("/run", "/dev/shm", "/var/lib/containers"):
            if os.path.isdir(place):
                run("mount", "-t", "tmpfs", "tmpfs", place)
    if run("stat", "-f", "-c", "%T", scratch).decode().strip() != "overlayfs":
        return
    # An upper can't be on an overlay, as /tmp of a container is; a tmpfs has user.* attributes since Linux 6.6.
    run("mount", "-t", "tmpfs", "tmpfs", scratch)
    try:
        os.setxattr(scratch, "user.strata", b"")
        os.removexattr(scratch, "user.strata")
    except OSError:
        skip(f"{scratch} is on an overlay; set TMPDIR to a place that isn't")


def main(doc, programs, check):
    """`check(session, arguments)` inside; the first argument of the script is layerctl. Ends the script: 0, 1 where
    something differs, 77 where something is missing."""
    if len(sys.argv) < 2:
        sys.exit(doc)
    for program in ("unshare", *programs):
        if shutil.which(program) is None:
            skip(f"no {program}")
    scratch = os.environ.get(INSIDE)
    if scratch is None:
        scratch = tempfile.mkdtemp(prefix="strata-peers-")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a test that takes too long cleans up as well
        try:
            sys.exit(enter_namespace(scratch))
        finally:
            remove(scratch)
    prepare(scratch)
    try:
        check(Session(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(scratch)), sys.argv[2:])
    except Failed as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
