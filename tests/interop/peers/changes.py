"""What happens to a mounted root: every kind of change that a layer can tell."""
import os
import stat

from .session import run
from .small_image import CAPABILITY, ODD_NAMES, write


def change(session, root):
    """To the root of the small image."""
    # Files: made, written to, emptied, deleted, replaced, moved; of the same size and time as before.
    write(root / "etc/made", b"made", 0o640)
    with open(root / "usr/lib/libx.so", "r+b") as file:
        file.seek(1000)
        file.write(b"in the middle")
    os.truncate(root / "bin/su", 0)
    (root / "etc/b").unlink()
    (root / "lib/through-the-link").rename(root / "tmp/moved-away")
    status = (root / "new/file").stat()
    write(root / "new/file", b"NEW", stat.S_IMODE(status.st_mode))
    os.utime(root / "new/file", ns=(status.st_atime_ns, status.st_mtime_ns))

    # Attributes alone.
    (root / "home/user").chmod(0o3775)
    os.utime(root / "etc/made", ns=(0, -1_000000001))
    os.utime(root / "dangling", ns=(1, 123456789_987654321), follow_symlinks=False)
    os.setxattr(root / "etc/a/inside", "user.added", b"\0binary\n")
    os.removexattr(root / "attributes", "user.n")
    os.setxattr(root / "bin/ping", "security.capability", CAPABILITY)
    run("setfacl", "-m", "g:0:rwx", root / "var/opaque/moved")
    run("setfacl", "-k", root / "empty")
    run("setfacl", "-d", "-m", "u:0:rx", root / "links")
    if session.many_ids:
        os.chown(root / "tmp", 12, 34)
        os.lchown(root / "lib", 5, 6)

    # Directories: emptied and removed, made again (so that they hide what was there), moved, turned to files and back.
    run("rm", "-r", root / "etc/old")
    run("rm", "-r", root / "var/opaque")
    (root / "var/opaque").mkdir(mode=0o711)
    write(root / "var/opaque/other", b"other")
    (root / "var/opaque/sub").mkdir()
    run("mv", root / "home/user/deep", root / "home/moved")
    write(root / "home/moved/implied/file", b"changed after the move")
    run("rm", "-r", root / "etc/a")
    write(root / "etc/a", b"a file again")
    (root / "var/replaced").unlink()
    (root / "var/replaced").mkdir()
    write(root / "var/replaced/inside", b"a directory again")
    (root / "dangling").unlink()
    (root / "dangling").mkdir()

    # Hardlinks: a new group, a further name of a lower file, a group torn apart.
    write(root / "links/new", b"together")
    os.link(root / "links/new", root / "links/and-this")
    os.link(root / "bin/program", root / "links/program")
    (root / "links/two").unlink()
    os.utime(root / "links/one", ns=(0, 7))

    # What isn't a regular file.
    (root / "etc/symlink").symlink_to("/etc/" + "long/" * 60 + "é")
    (root / "etc/fifo").unlink(missing_ok=True)
    os.mkfifo(root / "etc/fifo", 0o622)
    (root / "dev/fifo").unlink()
    if session.privileged:
        (root / "dev/null").chmod(0o600)
        (root / "dev/disk").unlink()
        os.mknod(root / "dev/new", 0o644 | stat.S_IFCHR, os.makedev(10, 229))
        os.setxattr(root / "etc/made", "trusted.of-root", b"1")
    with open(root / "var/sparse", "r+b") as file:
        file.truncate(8 << 20)
        file.seek(5 << 20)
        file.write(b"an island")
    with open(root / "tmp/all-hole", "wb") as file:
        file.truncate(5_000_001)

    # Names.
    odd = os.fsencode(root / "odd")
    for name in ODD_NAMES[::2]:
        os.unlink(odd + b"/" + name)
    for name in ODD_NAMES[1::2]:
        with open(odd + b"/" + name, "ab") as file:
            file.write(b" more")
    for name in (b"\x01\x7f", b"ends in space ", b"wh.not-a-whiteout", b"x" * 255, b"=", b"%s%n"):
        with open(odd + b"/" + name, "wb") as file:
            file.write(name)
    deep = root / ("d" * 120) / ("e" * 120) / ("f" * 120)
    deep.mkdir(parents=True)
    write(deep / "file", b"deep")
