"""How a benchmark begins: its options, the build, the disk, and how it ends."""
import os
import pathlib
import signal
import subprocess
import sys

from . import disk, measure

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent


def add_options(parser):
    parser.add_argument("work", type=pathlib.Path, metavar="WORK")
    parser.add_argument("--runs", type=int, default=3, help="default: 3")
    parser.add_argument("--build", type=pathlib.Path, metavar="DIR", help="a build tree, taken as it is; "
                        "default: build/release, which is built with optimization")
    parser.add_argument("--disk", type=int, default=16, metavar="GIB", help="size of the disk; default: 16")
    parser.add_argument("--no-disk", action="store_true", help="write on WORK's own filesystem")
    parser.add_argument("--touch", type=int, default=4000, metavar="MIB",
                        help="memory touched before each timing; default: 4000; 0: none")


def begin(name):
    if os.geteuid() != 0:
        sys.exit(f"{name}: needs root: owners, devices, mounts")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"{name}: terminated"))
    os.environ["LC_ALL"] = "C"


def work(options):
    options.work.mkdir(parents=True, exist_ok=True)
    return options.work.resolve()


def build(options):
    if options.build:
        return options.build.resolve()
    release = SOURCE / "build" / "release"
    if not (release / "build.ninja").exists():
        subprocess.run(["meson", "setup", release, SOURCE, "--buildtype=release", "-Dtests=false"], check=True)
    subprocess.run(["ninja", "-C", release, "--quiet"], check=True)
    return release


def place(options):
    """A context: the directory in which everything is written."""
    return disk.folder(work(options)) if options.no_disk else disk.disk(work(options), options.disk)


def run(name, main):
    try:
        sys.exit(main())
    except (measure.Failed, subprocess.CalledProcessError, OSError) as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
