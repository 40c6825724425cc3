"""Where everything is unpacked: a journalled ext4 of its own, in a file, mounted by a loop device.

An ext4 without a journal, which some virtual machines have as their root, looks at each lately deleted inode whenever it
makes one; after a large `rm -r` that is what a benchmark would measure.
"""
import contextlib
import os
import pathlib
import shutil
import subprocess


@contextlib.contextmanager
def disk(work, gibibytes):
    """Gives the directory; unmounts and removes it at the end, whatever that end is."""
    image, directory = work / "disk.img", work / "disk"
    clean(directory)
    directory.mkdir(exist_ok=True)
    image.unlink(missing_ok=True)
    try:
        run("fallocate", "-l", f"{gibibytes}G", image)
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
        loop = run("losetup", "--find", "--show", "--direct-io=on", image)
        try:
            run("mount", "-o", "noatime", loop, directory)
        finally:
            run("losetup", "--detach", loop)  # goes with the mount, where there is one
        yield directory
    finally:
        clean(directory)
        image.unlink(missing_ok=True)


@contextlib.contextmanager
def folder(work):
    """A directory on the filesystem of WORK, for those who may not or will not mount one."""
    directory = work / "disk"
    clean(directory)
    directory.mkdir()
    try:
        yield directory
    finally:
        clean(directory)


def clean(path):
    """Unmounts all that is mounted in or at `path`, and removes it."""
    path = os.path.realpath(path)
    while True:
        lines = pathlib.Path("/proc/self/mounts").read_bytes().splitlines()
        points = [line.split()[1].decode("unicode_escape") for line in lines]
        below = [point for point in points if point == path or point.startswith(path + "/")]
        if not below:
            break
        subprocess.run(["umount", below[-1]], check=True)
    if os.path.isdir(path):
        shutil.rmtree(path)


def run(*command):
    done = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()
