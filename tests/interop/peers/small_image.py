"""A small image with what makes layers hard: three layers, each written by another program."""
import io
import os
import stat
import tarfile

from .oci_layout import Layout, make_layout
from .session import run, skip

CAPABILITY = b"\1\0\0\2" + (1 << 13).to_bytes(4, "little") + bytes(12)  # cap_net_raw=ep
ODD_NAMES = (b"new\nline", b"not-utf-8-\xff\xfe", "späce ünd".encode(), b"back\\slash", b"-rf", b"quote'\"", b"l" * 200, b"..a",
             b"a:b,c=d", b"*?[x]")
# Nanoseconds, and before 1970.
TIMES = (1577836800_123456789, 1_000000001, -1, -86400_000000007 * 365, 1700000000_000000000)


def set_times(root):
    """Each its own, by its place in the order of names; the deepest first."""
    places = sorted(os.path.join(os.fsencode(folder), name) for folder, folders, files in os.walk(os.fsencode(root))
                    for name in folders + files)
    for number, path in reversed(list(enumerate(places))):
        when = TIMES[number % len(TIMES)] + number * 1000
        os.utime(path, ns=(when, when), follow_symlinks=False)
    os.utime(root, ns=(TIMES[0], TIMES[0]))


def write(path, content=b"content\n", mode=0o644):
    path.write_bytes(content)
    path.chmod(mode)


def make_base(session, root):
    """The root filesystem of the first layer."""
    for folder in ("bin", "etc/old", "dev", "home/user/deep/deeper", "usr/lib", "var/replaced", "var/opaque/sub", "tmp", "odd",
                   "links", "empty"):
        (root / folder).mkdir(parents=True)
    root.chmod(0o755)
    (root / "tmp").chmod(0o1777)
    (root / "home/user").chmod(0o2710)
    write(root / "bin/su", b"setuid", 0o4755)
    write(root / "bin/ping", b"capable", 0o755)
    write(root / "bin/program", os.urandom(300_000), 0o755)
    for name in ("a", "b", "old/c", "old/d"):
        write(root / "etc" / name, name.encode())
    for name in ("kept", "gone", "moved", "sub/file"):
        write(root / "var/opaque" / name, name.encode())
    write(root / "var/replaced/file")
    write(root / "home/user/deep/deeper/file")
    write(root / "links/one", b"linked")
    os.link(root / "links/one", root / "links/two")
    os.link(root / "links/one", root / "home/user/three")
    (root / "lib").symlink_to("usr/lib")
    (root / "dangling").symlink_to("/no/such")
    write(root / "usr/lib/libx.so", os.urandom(70_000))
    with open(root / "var/sparse", "wb") as file:
        file.seek(3 << 20)
        file.write(b"end")
    for name in ODD_NAMES:
        with open(os.fsencode(root / "odd") + b"/" + name, "wb") as file:
            file.write(name)
    os.mkfifo(root / "dev/fifo", 0o600)
    os.setxattr(root / "etc/a", "user.text", b"value")
    os.setxattr(root / "etc/a", "user.binary", bytes(range(256)))
    os.setxattr(root / "etc/old", "user.empty", b"")
    run("setfacl", "-m", "u:0:rwx,g:0:r", root / "etc/b")
    run("setfacl", "-d", "-m", "u:0:rwx,o::-", root / "empty")
    if session.many_ids:
        run("setfacl", "-m", "u:4242:rx", root / "etc/b")
        os.chown(root / "home/user", 1000, 1000)
        os.lchown(root / "dangling", 1000, 7)
        os.chown(root / "bin/su", 0, 42)  # drops the setuid bit
        (root / "bin/su").chmod(0o4755)
    os.setxattr(root / "bin/ping", "security.capability", CAPABILITY)
    if session.privileged:
        os.setxattr(root / "etc/b", "trusted.secret", b"for root")
        os.mknod(root / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.chmod(root / "dev/null", 0o666)
        os.mknod(root / "dev/disk", 0o640 | stat.S_IFBLK, os.makedev(259, 70000))
        os.lchown(root / "dev/disk", 0, 6)
    set_times(root)


def change_with_umoci(root):
    """What umoci writes the second layer of: whiteouts, a directory that was a file, a new link to a lower file."""
    (root / "etc/old/c").unlink()
    (root / "var/opaque/gone").unlink()
    write(root / "bin/program", b"newer program", 0o755)
    (root / "etc/a").unlink()
    (root / "etc/a").mkdir()
    write(root / "etc/a/inside")
    (root / "new").mkdir()
    write(root / "new/file", b"new")
    os.link(root / "new/file", root / "new/link")


def write_tar(path, entries):
    """Entries as PAX: (name, type, content, TarInfo's attributes)."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, content, attributes in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size = kind, len(content)
            for key, value in {"mode": 0o755 if kind == tarfile.DIRTYPE else 0o644, **attributes}.items():
                setattr(entry, key, value)
            entry.pax_headers = {"mtime": "1600000000.987654321", **attributes.get("pax_headers", {})}
            tar.addfile(entry, io.BytesIO(content))


def directory(name, mtime="1600000000.5", **attributes):
    return name, tarfile.DIRTYPE, b"", {"pax_headers": {"mtime": mtime}, **attributes}


def file(name, content=b"", **attributes):
    return name, tarfile.REGTYPE, content, attributes


# The third layer: opaque directories, whiteouts after what they must not hide, implied parents, a parent that is a symlink
# below, a file in place of a directory, a device, foreign owners.
BY_HAND = [
    directory("var/", mtime="1500000000.5"),
    directory("var/opaque/", mode=0o700),
    file("var/opaque/.wh..wh..opq"),
    file("var/opaque/moved", b"here again"),
    file("var/.wh.replaced"),
    file("var/replaced", b"a file now"),
    directory("etc/old/", uid=1000, gid=1000, mtime="-1.000000001"),
    file("etc/old/.wh.d"),
    file("lib/through-the-link", b"usr/lib"),
    file("home/user/deep/implied/file", b"deep"),
    file("bin/ping", b"no longer capable", mode=0o755),
    directory("dev/"),
    ("dev/zero", tarfile.CHRTYPE, b"", {"devmajor": 1, "devminor": 5, "mode": 0o666}),
    file("attributes", b"x", pax_headers={"SCHILY.xattr.user.n": "v"}, uid=33, gid=33),
    ("attributes-too", tarfile.LNKTYPE, b"", {"linkname": "attributes", "mode": 0o600}),
]
LINK_TO_LOWER = [("links/four", tarfile.LNKTYPE, b"", {"linkname": "links/two"})]


def make(session, place):
    """The image's layout, whose layers are plain tars and one that umoci compressed; and another, with a layer more: a
    hardlink to a file of a lower layer."""
    root = place / "rootfs"
    root.mkdir()
    try:
        make_base(session, root)
    except OSError as error:
        skip(f"the filesystem of the scratch directory can't hold the image: {error}")
    run("tar", "-c", "--format=posix", "--pax-option=delete=atime,delete=ctime", "--xattrs", "--xattrs-include=*", "--acls",
        "--numeric-owner", "--sort=name", "-f", place / "1.tar", "-C", root, ".", silent=True)
    layout = make_layout(place / "two-layers", [place / "1.tar"])
    options = [] if session.privileged else ["--rootless"]
    run("umoci", "unpack", *options, "--image", f"{layout.path}:latest", place / "bundle")
    change_with_umoci(place / "bundle/rootfs")
    run("umoci", "repack", "--image", f"{layout.path}:latest", place / "bundle")
    write_tar(place / "3.tar", BY_HAND)
    write_tar(place / "4.tar", LINK_TO_LOWER)
    layers = [*layout_after_repack(layout).layers(), place / "3.tar"]
    return make_layout(place / "image", layers), make_layout(place / "link-to-lower", [*layers, place / "4.tar"])


def layout_after_repack(layout):
    """umoci leaves the older manifest in the index, untagged."""
    import json
    index = layout.path / "index.json"
    entries = json.loads(index.read_text())
    entries["manifests"] = [m for m in entries["manifests"] if m.get("annotations")]
    index.write_text(json.dumps(entries))
    return Layout(layout.path)
