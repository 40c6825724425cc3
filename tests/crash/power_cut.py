#!/usr/bin/env python3
"""The power fails while layers are stored: what had been reported stored by then is whole on what the disk has kept.

  power_cut.py [--filesystem ext4|xfs|btrfs] [--cuts N] [--operations N] [--durability full|none] [--seed N]
               LOGGED_DISK WORKER

A worker stores and removes layers on a filesystem whose every write and flush is logged. For each cut, a disk is made of
the log up to some record, in which each sector that was written since the last flush before it is there or not, at
random. It is mounted, and its store is looked at. With --durability none the test passes if losses are found, which
shows that it can find them. Exit code 77 (skipped) where there is no FUSE, no loop device, or no such filesystem.
"""
import argparse
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

# What a disk writes whole or not at all. ext4 and btrfs have checksums over more than 512 bytes of their superblocks,
# and trust the disk not to tear these; so does xfs with its blocks, since its recovery goes by the head of each.
SECTOR = {"ext4": 1024, "xfs": 4096, "btrfs": 4096}
SIZE = {"ext4": 96, "xfs": 320, "btrfs": 256}  # MiB; the least that each can do with, about
HEADER = struct.Struct("=IIQ")


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, **options)


def enter_namespace(kind):
    """Starts this script again where mounts are its own; ends it where the host lacks something."""
    if os.environ.get("STRATA_OWN_MOUNTS"):
        return
    if os.geteuid() != 0:
        skip("only root may use loop devices")
    for needed in ("/dev/fuse", "/dev/loop-control"):
        if not os.path.exists(needed):
            skip(f"there is no {needed}")
    for needed in ("losetup", "unshare", f"mkfs.{kind}"):
        if not shutil.which(needed):
            skip(f"there is no {needed}")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        skip("there can be no mount namespace")
    os.execvpe("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, os.path.abspath(__file__)]
               + sys.argv[1:], os.environ | {"STRATA_OWN_MOUNTS": "1"})


class Mounted:
    """A file with a filesystem in it, mounted."""

    def __init__(self, image, place):
        made = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True)
        if made.returncode != 0:
            skip(f"there can be no loop device: {made.stderr.strip()}")
        self.loop, self.place = made.stdout.strip(), place
        mounted = subprocess.run(["mount", self.loop, place], capture_output=True, text=True)
        if mounted.returncode != 0:
            run("losetup", "--detach", self.loop)
            raise OSError(mounted.stderr.strip())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        run("umount", self.place)
        run("losetup", "--detach", self.loop)


def record(arguments, scratch):
    """Has the worker work on a logged disk; returns the image as it was before, and the log."""
    before, image, log = scratch / "before", scratch / "image", scratch / "log"
    with open(before, "wb") as file:
        file.truncate(SIZE[arguments.filesystem] << 20)
    force = ["-F"] if arguments.filesystem == "ext4" else []
    run(f"mkfs.{arguments.filesystem}", "-q", *force, before)
    run("cp", "--sparse=always", before, image)
    logged, mounted = scratch / "logged", scratch / "mounted"
    logged.mkdir()
    mounted.mkdir()
    disk = subprocess.Popen([arguments.logged_disk, logged, image, log])
    try:
        while not (logged / "disk").exists():
            if disk.poll() is not None:
                skip("FUSE can't be used")
            time.sleep(0.01)
        try:
            with Mounted(logged / "disk", mounted):
                run(arguments.worker, "store", mounted / "store", arguments.seed % (1 << 31), arguments.operations,
                    arguments.durability, logged / "marks")
        except OSError as error:
            skip(f"{arguments.filesystem} can't be mounted: {error}")
    finally:
        subprocess.run(["umount", logged], capture_output=True)
        disk.terminate()
        disk.wait()
    return before, log.read_bytes()


def records_of(log):
    """Of each: its kind, its offset, and where its bytes are in the log."""
    records, at = [], 0
    while at < len(log):
        kind, size, offset = HEADER.unpack_from(log, at)
        at += HEADER.size
        records.append((chr(kind), offset, at, size))
        at += size
    return records


def cut_disk(before, image, log, records, dice, sector):
    """Makes the disk as a cut leaves it; returns where it was cut, and what had been reported by then: ids, and tags as TAG=ID."""
    run("cp", "--sparse=always", before, image)
    end = dice.randrange(1, len(records) + 1)
    flushed = max((i for i in range(end) if records[i][0] == "F"), default=0)
    kept = dice.choice((0.0, 0.5, 0.9))
    marks = b""
    with open(image, "r+b") as disk:
        for index in range(end):
            kind, offset, at, size = records[index]
            if kind == "M":
                marks += log[at:at + size]
            if kind != "W":
                continue
            step = size if index < flushed else sector
            for piece in range(0, size, step):
                if index < flushed or dice.random() < kept:
                    disk.seek(offset + piece)
                    disk.write(log[at + piece:at + min(piece + step, size)])
    stored, tags = set(), {}
    for line in marks.decode().splitlines():
        sign, text = line[0], line[1:]
        if sign == "+":
            stored.add(text)
        elif sign == "-":
            stored.discard(text)
        elif sign == "?":
            tags.pop(text, None)
        else:
            tags.update([text.split(" ")])
    return end, sorted(stored) + [f"{tag}={layer}" for tag, layer in sorted(tags.items())]


def losses(arguments, image, place, stored):
    """What is wrong with the store on a disk; an empty text: nothing."""
    with Mounted(image, place):
        store = place / "store"
        looks = [["stored", store, *stored]] if stored else []
        if arguments.durability == "full" and (store / "format").exists():
            looks.append(["check", store])
        found = ""
        for look in looks:
            result = subprocess.run([arguments.worker, *look], capture_output=True, text=True, timeout=300)
            if result.returncode != 0:
                found += result.stdout + result.stderr
        return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--filesystem", choices=SECTOR, default="ext4")
    parser.add_argument("--cuts", type=int, default=10)
    parser.add_argument("--operations", type=int, default=40)
    parser.add_argument("--durability", choices=("full", "none"), default="full")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("logged_disk", type=os.path.abspath)
    parser.add_argument("worker", type=os.path.abspath)
    arguments = parser.parse_args()
    enter_namespace(arguments.filesystem)
    dice = random.Random(arguments.seed)
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="strata-power-", dir=memory))
    failed = unmountable = 0
    try:
        before, log = record(arguments, scratch)
        records = records_of(log)
        kinds = [kind for kind, *_ in records]
        print(f"seed {arguments.seed}: {kinds.count('W')} writes, {kinds.count('F')} flushes, {kinds.count('M')} marks, "
              f"{len(log) >> 20} MiB", flush=True)
        for cut in range(arguments.cuts):
            end, stored = cut_disk(before, scratch / "cut", log, records, dice, SECTOR[arguments.filesystem])
            try:
                found = losses(arguments, scratch / "cut", scratch / "mounted", stored)
            except OSError as error:  # then the filesystem lost itself, and no store could help that
                unmountable += 1
                print(f"cut {cut}, at record {end}: {error}", flush=True)
                continue
            failed += bool(found)
            if found and arguments.durability == "full":
                print(f"cut {cut}, at record {end} of {len(records)}, {len(stored)} layers and tags stored:\n{found}", flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{arguments.cuts} cuts, {failed} with losses" +
          (f"; {unmountable} left a filesystem that can't be mounted" if unmountable else ""))
    if unmountable > arguments.cuts // 10:
        sys.exit("too many of them: the disk is not what this filesystem may rely on")
    if arguments.durability == "none" and failed == 0:
        sys.exit("nothing was synced, and no loss was found: this test can't find any")
    sys.exit(1 if failed and arguments.durability == "full" else 0)


main()
