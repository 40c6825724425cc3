#!/usr/bin/env python3
"""Runs a program as an ordinary user.

  as_user.py --plain PROGRAM [ARGUMENT...]      as `nobody`; as the caller, where the caller is no root
  as_user.py --namespace PROGRAM [ARGUMENT...]  as root of a user namespace that `nobody` (or the caller) made. Started by
                                                root, the namespace has 65536 ids; else the caller's own id alone.

The program gets a scratch directory of its own as TMPDIR, HOME and working directory, removed afterwards. Exit code 77
(skipped) where this host doesn't allow it.
"""
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile

NOBODY = 65534
CLONE_NEWNS, CLONE_NEWUSER, MS_REC, MS_PRIVATE, MS_BIND = 0x20000, 0x10000000, 0x4000, 0x40000, 0x1000
libc = ctypes.CDLL(None, use_errno=True)


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def call(function, *arguments):
    if function(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{function.__name__}: {os.strerror(ctypes.get_errno())}")


def make_reachable(path):
    """Lets everyone reach `path`: in a mount namespace of our own, an empty directory covers the first parent that
    others may not enter, and shows nothing but the way to the working tree."""
    parents, at = [], os.path.dirname(path)
    while at != "/":
        parents.append(at)
        at = os.path.dirname(at)
    closed = next((p for p in reversed(parents) if not os.stat(p).st_mode & 0o001), None)
    if closed is None:
        return
    top = os.path.dirname(path)
    while not os.path.exists(os.path.join(top, "meson_options.txt")) and top != closed:
        top = os.path.dirname(top)
    if top == closed:
        skip(f"only root may enter {closed}")
    call(libc.unshare, CLONE_NEWNS)
    call(libc.mount, b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    tree = os.open(top, os.O_PATH)
    call(libc.mount, b"tmpfs", closed.encode(), b"tmpfs", 0, b"mode=755,size=1m")
    os.makedirs(top)
    call(libc.mount, f"/proc/self/fd/{tree}".encode(), top.encode(), None, MS_BIND | MS_REC, None)
    os.close(tree)


def become_nobody():
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def enter_namespace(tell, wait):
    """In the child: makes the namespaces, has the parent write the id maps, becomes their root."""
    try:
        call(libc.unshare, CLONE_NEWUSER | CLONE_NEWNS)
    except OSError as error:
        os.write(tell, b"-")
        skip(f"no user namespace for an ordinary user here ({error})")
    os.write(tell, b"+")
    if os.read(wait, 1) != b"+":
        skip("the id map of the user namespace was refused")
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def write_maps(child, started_by_root, uid, gid):
    """In the parent, which alone may map more than one id."""
    more = "1 100000 65535\n" if started_by_root else ""
    if not started_by_root:
        with open(f"/proc/{child}/setgroups", "w") as file:
            file.write("deny")
    for name, outside in (("uid_map", uid), ("gid_map", gid)):
        with open(f"/proc/{child}/{name}", "w") as file:
            file.write(f"0 {outside} 1\n{more}")


def run(mode, command, scratch):
    root = os.geteuid() == 0
    uid, gid = (NOBODY, NOBODY) if root else (os.geteuid(), os.getegid())
    if root:
        os.chown(scratch, uid, gid)
        for path in (__file__, command[0]):
            make_reachable(os.path.realpath(path))
    to_parent, to_child = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if root:
                become_nobody()
            os.chdir(scratch)
            os.environ.update(TMPDIR=scratch, HOME=scratch, USER="nobody", LOGNAME="nobody")
            os.environ.pop("XDG_RUNTIME_DIR", None)
            if not os.access(command[0], os.X_OK):
                skip(f"an ordinary user can't run {command[0]}")
            if mode == "--namespace":
                enter_namespace(to_parent[1], to_child[0])
            os.execv(command[0], command)
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code)
        except BaseException as error:  # noqa: the child must never return into the parent's code
            print(f"as_user: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    os.close(to_parent[1])  # a child that ends without a word is heard of
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda caught, _: os.kill(child, caught))
    if mode == "--namespace" and os.read(to_parent[0], 1) == b"+":
        try:
            write_maps(child, root, uid, gid)
            os.write(to_child[1], b"+")
        except OSError:
            os.write(to_child[1], b"-")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("--plain", "--namespace"):
        sys.exit(__doc__)
    command = sys.argv[2:]
    command[0] = os.path.abspath(shutil.which(command[0]) or command[0])
    # It gets another working directory, so files that are named relative to this one need their whole path.
    command[1:] = [os.path.abspath(word) if "/" in word and os.path.exists(word) else word for word in command[1:]]
    scratch = tempfile.mkdtemp(prefix="strata-user-")
    try:
        code = run(sys.argv[1], command, scratch)
    finally:
        if os.geteuid() == 0:
            shutil.rmtree(scratch)
        else:  # files of other ids of the namespace can't be there: it had but one
            subprocess.run(["chmod", "-R", "u+rwX", scratch], check=False)
            shutil.rmtree(scratch)
    sys.exit(code if code >= 0 else 128 - code)


main()
