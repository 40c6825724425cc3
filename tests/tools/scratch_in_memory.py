#!/usr/bin/env python3
"""Runs a command whose scratch directories are in memory, where there is enough of it: for tests that make and delete so
many files that a disk would take most of their time.

  scratch_in_memory.py COMMAND...
"""
import os
import sys
import tempfile

PLACE = "/dev/shm"
ENOUGH = 2 << 30


def has_room():
    """Room, and user.* attributes (a tmpfs has them since Linux 6.6)."""
    try:
        state = os.statvfs(PLACE)
        with tempfile.NamedTemporaryFile(dir=PLACE) as file:
            os.setxattr(file.name, "user.strata", b"")
    except OSError:
        return False
    return state.f_bavail * state.f_frsize >= ENOUGH


if "TMPDIR" not in os.environ and has_room():
    os.environ["TMPDIR"] = PLACE
os.execvp(sys.argv[1], sys.argv[1:])
