"""Where a hostile layer is tried: a small tmpfs in a mount namespace of its own (for an ordinary user, who has neither, a
directory), with canaries beside the root and at a place that layers name."""
import ctypes
import hashlib
import os
import pathlib
import resource
import select
import shutil
import signal
import stat
import subprocess
import time

from case import SHARED

CLONE_NEWNS, MS_RDONLY, MS_REC, MS_PRIVATE, MNT_DETACH = 0x20000, 1, 0x4000, 0x40000, 2
SIZE = "64m"
KEPT = 8 << 20
# Meson has malloc() fill what it gives, so that what is merely reserved would count as memory taken.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "MALLOC_PERTURB_"}
OPEN_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)  # of whoever called
libc = ctypes.CDLL(None, use_errno=True)


def call(function, *arguments):
    if function(*(os.fsencode(a) if isinstance(a, (str, os.PathLike)) else a for a in arguments)) != 0:
        raise OSError(ctypes.get_errno(), f"{function.__name__}: {os.strerror(ctypes.get_errno())}")


def ids():
    """How many user ids there are in this namespace."""
    return sum(int(line.split()[2]) for line in pathlib.Path("/proc/self/uid_map").read_text().splitlines())


def attributes(path):
    try:
        return tuple((name, os.getxattr(path, name, follow_symlinks=False))
                     for name in sorted(os.listxattr(path, follow_symlinks=False)))
    except OSError:
        return ()


def snapshot(top, without=(), identity=True):
    """Everything about all that is in `top`; with `identity`, also inodes and times of change, and of directories."""
    found = {}

    def visit(path):
        if path in without:
            return
        status = os.lstat(path)
        what = [status.st_mode, status.st_uid, status.st_gid, status.st_size if stat.S_ISREG(status.st_mode) else 0,
                attributes(path)]
        shared = path.endswith("/shared")  # has a name in the root as well
        if identity:
            what += [status.st_ino, status.st_mtime_ns] + ([] if shared else [status.st_nlink, status.st_ctime_ns])
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:
                what.append(file.read() if status.st_size < 4096 else hashlib.file_digest(file, "sha256").digest())
        elif stat.S_ISLNK(status.st_mode):
            what.append(os.readlink(path))
        found[path] = what
        if stat.S_ISDIR(status.st_mode):
            for name in os.listdir(path):
                visit(os.path.join(path, name))

    visit(os.fspath(top))
    return found


def changed(before, after):
    return [path for path in sorted(before.keys() | after.keys()) if before.get(path) != after.get(path)]


class Box:
    """box/outside: the canaries. box/p: the parent of the roots, with `victim` beside them, in which everything runs."""

    def __init__(self, scratch):
        self.scratch = pathlib.Path(scratch)
        self.path = self.scratch / "box"
        self.path.mkdir()
        self.secret = b"secret-" + hashlib.sha256(os.urandom(16)).hexdigest().encode()
        self.namespace = os.geteuid() == 0 and self._enter_namespace()
        self.parent, self.outside = self.path / "p", self.path / "outside"
        self.fresh()

    def _enter_namespace(self):
        try:
            call(libc.unshare, CLONE_NEWNS)
            call(libc.mount, "none", "/", None, MS_REC | MS_PRIVATE, None)
            call(libc.mount, "tmpfs", self.path, "tmpfs", 0, "mode=755,size=" + SIZE)
            return True
        except OSError:
            return False

    def fresh(self):
        if self.namespace:
            call(libc.umount2, self.path, MNT_DETACH)
            call(libc.mount, "tmpfs", self.path, "tmpfs", 0, "mode=755,size=" + SIZE)
        else:
            self.empty()
        for name in ("root", "base", "upper", "merged", "victim"):
            (self.parent / name).mkdir(parents=True)
        (self.outside / "folder").mkdir(parents=True)
        (self.outside / "folder/keep").write_bytes(self.secret)
        (self.outside / "shared").write_bytes(SHARED)
        (self.outside / "secret").write_bytes(self.secret)
        (self.outside / "secret").chmod(0o640)
        (self.outside / "link").symlink_to("secret")
        (self.parent / "victim/hello").write_bytes(self.secret)
        self.outside.chmod(0o751)
        self.canaries = {(s.st_dev, s.st_ino) for s in map(os.stat, (
            self.outside / "secret", self.outside / "folder/keep", self.parent / "victim/hello"))}

    def empty(self):
        # Directories may be without rights, and deeper than shutil can go.
        subprocess.run(["chmod", "-R", "u+rwX", self.path], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["find", self.path, "-mindepth", "1", "-delete"], check=True)

    def close(self):
        if self.namespace:
            call(libc.umount2, self.path, MNT_DETACH)
        else:
            self.empty()
        shutil.rmtree(self.scratch)

    def overlay(self, lowers, userxattr):
        """Mounts at merged, if this host does; the namespace's end, or unmount_overlay(), undoes it."""
        options = "lowerdir=" + ":".join(map(str, lowers)) + (",userxattr" if userxattr else "")
        call(libc.mount, "overlay", self.parent / "merged", "overlay", MS_RDONLY, options)
        return self.parent / "merged"

    def unmount_overlay(self):
        call(libc.umount2, self.parent / "merged", MNT_DETACH)


def in_child(work):
    """What `work()` returns, a string, from a process of its own. The peak memory of a program counts from that of whoever
    started it, so what makes large layers isn't this process."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(theirs, work().encode())
            os._exit(0)
        except BaseException as error:  # noqa: the child must never return into the parent's code
            print(f"cannot make a layer: {error!r}", flush=True)
            os._exit(1)
    os.close(theirs)
    text = os.read(ours, 4096).decode()
    os.close(ours)
    if os.waitpid(child, 0)[1] != 0:
        raise RuntimeError("a layer can't be made")
    return text


class Ended:
    """How a program ended. `code` is None where it took too long, negative where a signal ended it."""

    def __init__(self, code, output, digest, error, peak):
        self.code, self.output, self.digest, self.error, self.peak = code, output, digest, error, peak


def limit():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, OPEN_FILES)


def run(command, seconds, cwd, stdin=None):
    """Runs a program to its end, keeping the first 8 MiB of its output and the digest of all of it."""
    error = os.memfd_create("stderr")
    with open(stdin or os.devnull, "rb") as source:
        child = subprocess.Popen([os.fspath(c) for c in command], stdin=source, stdout=subprocess.PIPE, stderr=error,
                                 cwd=cwd,
                                 env=ENVIRONMENT, start_new_session=True, preexec_fn=limit)
    output, digest, deadline = bytearray(), hashlib.sha256(), time.monotonic() + seconds
    ended = os.pidfd_open(child.pid)
    waiting = select.poll()
    waiting.register(child.stdout, select.POLLIN | select.POLLHUP)
    code = usage = None
    while code is None:
        left = deadline - time.monotonic()
        events = waiting.poll(max(left, 0) * 1000)
        if not events:
            os.killpg(child.pid, signal.SIGKILL)
            _, _, usage = os.wait4(child.pid, 0)
            break
        if any(fd == child.stdout.fileno() for fd, _ in events):
            piece = os.read(child.stdout.fileno(), 1 << 20)
            digest.update(piece)
            output += piece[:max(KEPT - len(output), 0)]
            if not piece:
                waiting.unregister(child.stdout)
                waiting.register(ended, select.POLLIN)
        else:
            _, status, usage = os.wait4(child.pid, 0)
            code = os.waitstatus_to_exitcode(status)
    child.returncode = -1 if code is None else code  # it has been waited for
    child.stdout.close()
    os.close(ended)
    text = os.pread(error, 1 << 16, 0)
    os.close(error)
    return Ended(code, output, digest.hexdigest(), text, usage.ru_maxrss << 10)
