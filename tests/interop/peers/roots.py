"""Root filesystems, as other programs make them of an image."""
import os
import pathlib
import stat
import tarfile

from .session import Failed, Refused, run


def umoci_name(session):
    return "umoci" if session.privileged else "umoci --rootless"


def may_refuse(*command, **options):
    try:
        run(*command, **options)
    except Failed as failure:
        raise Refused(str(failure)) from failure


def umoci(session, layout, bundle, *options, may_warn=False):
    """umoci unpack."""
    rootless = [] if session.privileged else ["--rootless"]
    may_refuse("umoci", "unpack", *rootless, *options, "--image", f"{layout.path}:latest", bundle,
               silent=session.privileged and not may_warn)
    return pathlib.Path(bundle) / "rootfs"


def podman(layout, place, may_warn=False):
    """Through skopeo into a storage of its own, mounted by podman; unmounted with the mount namespace, or by
    podman_unmount()."""
    storage = ["--root", place / "graph", "--runroot", place / "run", "--storage-driver", "overlay"]
    may_refuse("skopeo", "--insecure-policy", "copy", "-q", f"oci:{layout.path}:latest",
               f"containers-storage:[overlay@{place}/graph+{place}/run]image:latest", silent=not may_warn)
    mounted = run("podman", *storage, "image", "mount", "image:latest", silent=not may_warn)
    return pathlib.Path(mounted.decode().strip())


def podman_unmount(place):
    run("podman", "--root", place / "graph", "--runroot", place / "run", "--storage-driver", "overlay", "image",
        "umount",
        "--all", "--force")
    for mount in run("findmnt", "-rno",
                     "TARGET").decode().splitlines():  # the storage itself, which podman binds to itself
        if mount.startswith(str(place) + "/"):
            run("umount", "-l", mount)


def remove_path(path):
    if path.is_dir() and not path.is_symlink():
        run("rm", "-rf", path)
    elif os.path.lexists(path):
        path.unlink()


def gnu_tar(session, layer_tar, root):
    """GNU tar, after the whiteouts have been done by hand, as layer.md of the OCI image specification says; what changes
    its type goes too."""
    with tarfile.open(layer_tar, encoding="utf-8", errors="surrogateescape") as tar:
        entries = [(root / member.name, member) for member in tar]
    kept = {}  # directories, whose time the removal below must not change
    for path, member in entries:
        if path.parent.is_dir():
            status = path.parent.stat()
            kept.setdefault(path.parent, (status.st_atime_ns, status.st_mtime_ns))
    for path, member in entries:
        if path.name == ".wh..wh..opq":
            for inside in path.parent.iterdir():
                remove_path(inside)
        elif path.name.startswith(".wh."):
            remove_path(path.parent / path.name[len(".wh."):])
        elif os.path.lexists(path) and stat.S_ISDIR(path.lstat().st_mode) != member.isdir():
            remove_path(path)
    for directory, times in kept.items():
        if directory.is_dir():
            os.utime(directory, ns=times)
    owners = ["--numeric-owner"] if session.many_ids else ["--no-same-owner"]
    run("tar", "-x", "-p", *owners, "--xattrs", "--xattrs-include=*", "--acls", "--delay-directory-restore",
        "--warning=no-timestamp", "--exclude=.wh.*", "-f", layer_tar, "-C", root, silent=True)
