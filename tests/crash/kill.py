#!/usr/bin/env python3
"""Processes work on one store, are killed at any instant, and others take their place.

  kill.py [--operations N] [--processes N] [--seed N] WORKER

In the end every layer is whole, and nothing is left over or mounted. A process that fails by itself, or one that waits
for ever, fails the test. Exit code 77 (skipped) where nothing can be mounted.
"""
import argparse
import os
import pathlib
import random
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE = 100  # seconds without a single operation done


def enter_namespace():
    """Starts this script again where mounts are its own."""
    if os.environ.get("STRATA_OWN_MOUNTS"):
        return
    wrapper = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        wrapper += ["--user", "--map-root-user"]
    if not shutil.which("unshare") or subprocess.run(wrapper + ["true"], capture_output=True).returncode != 0:
        print("skipped: this user can't have a mount namespace")
        sys.exit(77)
    os.execvpe("unshare", wrapper + [sys.executable, os.path.abspath(__file__)] + sys.argv[1:],
               os.environ | {"STRATA_OWN_MOUNTS": "1"})


def mount_place():
    """A directory in memory that goes with the namespace, and has user.* attributes (a tmpfs since Linux 6.6)."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="strata-kill-"))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "strata-kill", place]).returncode == 0:
        try:
            os.setxattr(place, "user.strata", b"")
            return place
        except OSError:
            subprocess.run(["umount", place])
    return place


def show_stacks(processes):
    for process in processes:
        for task in sorted(pathlib.Path(f"/proc/{process.pid}/task").iterdir()):
            for name in ("comm", "wchan", "syscall", "stack"):
                try:
                    print(f"{process.pid}/{task.name} {name}: {(task / name).read_text().strip()}")
                except OSError:
                    pass
        if shutil.which("gdb"):
            subprocess.run(["gdb", "-p", str(process.pid), "-batch", "-ex", "thread apply all bt"])


class Workers:
    def __init__(self, worker, store, count, dice):
        self.worker, self.store, self.dice = worker, store, dice
        self.selector = selectors.DefaultSelector()
        self.operations = self.kills = 0
        self.last = time.monotonic()
        self.processes = [self.start() for _ in range(count)]

    def start(self):
        process = subprocess.Popen([self.worker, "work", self.store, str(self.dice.randrange(1 << 30))],
                                   stdout=subprocess.PIPE)
        self.selector.register(process.stdout, selectors.EVENT_READ)
        return process

    def listen(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for key, _ in self.selector.select(left):
                if dots := os.read(key.fd, 4096):
                    self.operations += len(dots)
                    self.last = time.monotonic()
                else:
                    self.selector.unregister(key.fileobj)
        for process in self.processes:
            if process.poll() is not None:
                sys.exit(f"a worker ended by itself, with {process.returncode}")
        if time.monotonic() - self.last > PATIENCE:
            show_stacks(self.processes)
            sys.exit(f"nothing was done for {PATIENCE} seconds")

    def kill(self, index):
        process = self.processes[index]
        process.send_signal(signal.SIGKILL)
        process.wait()
        try:
            self.selector.unregister(process.stdout)
        except KeyError:
            pass
        process.stdout.close()
        self.kills += 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--operations", type=int, default=1500)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("worker", type=os.path.abspath)
    arguments = parser.parse_args()
    enter_namespace()
    place = mount_place()
    dice = random.Random(arguments.seed)
    print(f"seed {arguments.seed}", flush=True)
    workers = Workers(arguments.worker, str(place / "store"), arguments.processes, dice)
    try:
        while workers.operations < arguments.operations:
            workers.listen(dice.choice((0.002, 0.01, 0.03, 0.1)))
            index = dice.randrange(arguments.processes)
            workers.kill(index)
            workers.processes[index] = workers.start()
    finally:
        for index in range(arguments.processes):
            workers.kill(index)
    print(f"{workers.operations} operations, {workers.kills} kills", flush=True)
    check = subprocess.run([arguments.worker, "check", str(place / "store")], timeout=300)
    if check.returncode == 0:
        subprocess.run(["umount", "--lazy", place], stderr=subprocess.DEVNULL)
        subprocess.run(["chmod", "-R", "u+rwX", place], check=False)
        shutil.rmtree(place)
    sys.exit(1 if check.returncode else 0)


main()
