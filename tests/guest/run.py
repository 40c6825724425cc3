#!/usr/bin/env python3
"""Runs tests in a kernel of their own, where this machine's has no device mapper: Debian's User Mode Linux
(package user-mode-linux). It needs neither root nor virtualization, and takes two seconds more than the test.

  run.py INIT COMMAND... [--reboot COMMAND...]

The guest is root on a read-only view of this system; /run/disk, its TMPDIR, is a disk of its own, which stays over a
--reboot: that finds it as it was when the machine went down, nothing unmounted. GUEST_BOOT counts from 1. Exit code: the
first that isn't 0; 77 where there is no such kernel.
"""
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

kernel = pathlib.Path("/usr/bin/linux.uml")
wanted = ["loop", "overlay", "dm-thin-pool"]
memory, disk_size, seconds = "512M", 4 << 30, 900


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def modules():
    """The files of the modules that are wanted, and before each what it needs."""
    homes = sorted(pathlib.Path("/usr/lib/uml/modules").glob("*/modules.dep"))
    if not homes:
        skip("there are no modules for the guest: install user-mode-linux")
    needs = {}
    for line in homes[-1].read_text().splitlines():
        name, _, others = line.partition(":")
        needs[name] = others.split()
    found = []

    def add(name):
        for other in reversed(needs[name]):
            add(other)
        if name not in found:
            found.append(name)

    for module in wanted:
        add(next(name for name in needs if pathlib.Path(name).stem == module))
    return [str(homes[-1].parent / name) for name in found]


def boot(init, share, disk, command, number):
    """The exit code of a command in the guest; None: it never ended."""
    script = f"#!/bin/bash\ncd /run/disk\nexport GUEST_BOOT={number}\n{shlex.join(command)}\n"
    (share / "command").write_text(script)
    for left in ("started", "status"):
        (share / left).unlink(missing_ok=True)
    arguments = [kernel, f"mem={memory}", f"ubd0={disk}", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}",
                 f"GUEST_SHARE={share}", f"uml_dir={share}/uml", "con=null", "con0=null,fd:1", "ssl=null", "quiet", "loglevel=0"]
    environment = os.environ | {"TMPDIR": "/dev/shm"}  # its memory is a file there
    with subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          env=environment, start_new_session=True) as guest:
        try:
            output, _ = guest.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(guest.pid, 9)
            output, _ = guest.communicate()
    print(output.decode(errors="replace").replace("\r", ""), end="", flush=True)
    status = share / "status"
    return int(status.read_text()) if status.exists() and status.read_text() else None


def commands(words):
    """Each a list of words, with the program's path as it is from anywhere."""
    found = [[]]
    for word in words:
        if word == "--reboot":
            found.append([])
        elif not found[-1] and os.path.exists(word):
            found[-1].append(os.path.abspath(word))
        else:
            found[-1].append(word)
    return found


if not os.access(kernel, os.X_OK):
    skip(f"there is no {kernel}: install user-mode-linux")
if not shutil.which("mkfs.ext4", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
    skip("there is no mkfs.ext4 for the guest's disk: install e2fsprogs")
init = pathlib.Path(sys.argv[1]).resolve()
with tempfile.TemporaryDirectory(prefix="strata-guest-", dir="/dev/shm") as folder:
    share = pathlib.Path(folder)
    (share / "modules").write_text("".join(module + "\n" for module in modules()))
    disk = share / "disk"
    with open(disk, "wb") as file:
        file.truncate(disk_size)
    mkfs = shutil.which("mkfs.ext4", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    subprocess.run([mkfs, "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", disk], check=True)
    for number, command in enumerate(commands(sys.argv[2:]), 1):
        code = boot(init, share, disk, command, number)
        if code is None and number == 1 and not (share / "started").exists():
            skip("the guest doesn't boot here")
        if code is None:
            print("the guest ended before the command did")
            sys.exit(1)
        if code != 0:
            sys.exit(code)
