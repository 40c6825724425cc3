#!/usr/bin/env python3
"""Strata's tar reader and writer against GNU tar and bsdtar, both ways, on random trees.

  tar_peers.py TAR_LIST [SEED]

What a peer archives in each of its formats, strata must read as the tree is; what strata writes, each peer must extract
as the tree was, in silence. Needs tar (GNU) and bsdtar, else exits 77; setfacl for ACLs; umoci if it is
there. Devices and foreign owners only
as root outside of user namespaces.
"""
import hashlib
import json
import os
import pathlib
import random
import shutil
import stat
import subprocess
import sys
import tempfile

tar_list = sys.argv[1]
seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
chance = random.Random(seed)
ACL = ("system.posix_acl_access", "system.posix_acl_default")
SECONDS_2020 = 1577836800
# Root over all ids, that is.
privileged = os.geteuid() == 0 and pathlib.Path("/proc/self/uid_map").read_text().split()[-1] == "4294967295"

for program in ("tar", "bsdtar"):
    if shutil.which(program) is None:
        print(f"skipped: no {program}")
        sys.exit(77)


def run(*command, cwd=None, quiet=True):
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    if done.returncode != 0 or (quiet and done.stderr):
        sys.exit(f"seed {seed}: {b' '.join(os.fsencode(c) for c in command)}: {done.returncode} {done.stderr.decode()}")
    return done.stdout


# bsdtar converts names by the locale; in C.UTF-8 those that are UTF-8 stay what they are.
environment = dict(os.environ, LC_ALL="C.UTF-8", TZ="UTC")


def name(longest, plain):
    size = chance.randint(1, longest)
    if plain:
        return "".join(chance.choice("abcdefghijklmnopqrstuvwxyz0123456789._-+ ") for _ in range(size)).strip(". ") or "x"
    return "".join(chance.choice("abcdefgh\n\t'\"\\äß€=:,%") for _ in range(size))[: size // 2 + 1].strip() or "y"


def supports(root, attribute):
    try:
        os.setxattr(root, attribute, b"v")
        os.removexattr(root, attribute)
        return True
    except OSError:
        return False


def supports_acl(root):
    return shutil.which("setfacl") is not None and subprocess.run(
        ["setfacl", "-m", "u:4242:r", root], stderr=subprocess.DEVNULL).returncode == 0


def grow(root, small):
    """Makes a random tree; a small one fits every format: short names, whole seconds after 1970, nothing special."""
    os.mkdir(root)
    folders, files = [root], []
    for _ in range(40):
        parent = chance.choice(folders)
        path = os.path.join(parent, name(20 if small else chance.choice((20, 120)), small))
        if os.path.lexists(path) or len(path) > (140 if small else 1500):
            continue
        kind = chance.choice("ddffffffslhp" if not small else "ddfffflh")
        if kind == "d":
            os.mkdir(path)
            folders.append(path)
        elif kind == "f":
            with open(path, "wb") as file:
                file.write(chance.randbytes(chance.choice((0, 1, 511, 512, 513, 70000))))
            files.append(path)
        elif kind == "s":
            with open(path, "wb") as file:
                for _ in range(chance.choice((1, 3, 30))):
                    file.seek(chance.randint(0, 500) * 4096)
                    file.write(chance.randbytes(4096))
                file.truncate(max(os.fstat(file.fileno()).st_size, chance.randint(0, 600) * 4000))
            files.append(path)
        elif kind == "l":
            os.symlink(name(90 if small else 300, small), path)
        elif kind == "h" and files:
            os.link(chance.choice(files), path)
        elif kind == "p":
            os.mkfifo(path)
    if privileged and not small:
        os.mknod(os.path.join(root, "null"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(os.path.join(root, "disk"), 0o600 | stat.S_IFBLK, os.makedev(259, 300))


def adorn(root, small):
    """Modes, owners, xattrs, ACLs and times, the deepest first."""
    with_xattrs = not small and supports(root, "user.test")
    with_acls = not small and supports_acl(root)
    for folder, folders, files in os.walk(root, topdown=False):
        for path in [os.path.join(folder, f) for f in files] + [folder]:
            mode = os.lstat(path).st_mode
            if privileged:
                os.lchown(path, chance.choice((0, 1000, 65534) if small else (0, 1000, 3000000)), chance.choice((0, 50)))
            if not stat.S_ISLNK(mode):
                os.chmod(path, chance.choice((0o644, 0o755, 0o1777, 0o4755)) | (0o700 if stat.S_ISDIR(mode) else 0o400))
            if with_xattrs and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and chance.random() < 0.4:
                os.setxattr(path, "user.text", b"value")
                os.setxattr(path, "user.binary", chance.randbytes(40) + b"\0\n=")
            if with_acls and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and chance.random() < 0.3:
                run("setfacl", "-m", "u:4242:rx,g:50:w,g:4243:r", "--", path)
                if stat.S_ISDIR(mode):
                    run("setfacl", "-d", "-m", "u::rwx,u:7:r", "--", path)
            when = SECONDS_2020 + chance.randint(0, 10**6)
            if not small:
                when = chance.choice((when, -when // 1000)) + chance.randint(0, 999999999) / 1e9
            os.utime(path, ns=(int(when * 10**9),) * 2, follow_symlinks=False)


def seen(root, precise=True):
    """What is there, as tar_list would show it."""
    tree, groups = {}, {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for path in [folder] + [os.path.join(folder, f) for f in files + folders if os.path.islink(os.path.join(folder, f)) or f in files]:
            found = os.lstat(path)
            shown = os.path.relpath(path, os.fsencode(root)).decode("latin-1")
            node = {"mode": found.st_mode & 0o7777, "mtime": found.st_mtime_ns if precise else found.st_mtime_ns // 10**9,
                    "kind": stat.S_IFMT(found.st_mode), "uid": found.st_uid, "gid": found.st_gid}
            if stat.S_ISLNK(found.st_mode):
                node["link"] = os.readlink(path).decode("latin-1")
            if stat.S_ISREG(found.st_mode):
                with open(path, "rb") as file:
                    node["sha256"] = hashlib.sha256(file.read()).hexdigest()
                groups.setdefault(found.st_ino, []).append(shown)
            if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
                node["device"] = [os.major(found.st_rdev), os.minor(found.st_rdev)]
            if not stat.S_ISLNK(found.st_mode):
                node["xattrs"] = {x: os.getxattr(path, x).decode("latin-1") for x in os.listxattr(path)
                                  if x.startswith("user.") or x in ACL}
            tree[shown] = node
    for names in groups.values():
        for shown in names:
            tree[shown]["group"] = sorted(names)
    return tree


KINDS = {"0": stat.S_IFREG, "2": stat.S_IFLNK, "3": stat.S_IFCHR, "4": stat.S_IFBLK, "5": stat.S_IFDIR, "6": stat.S_IFIFO}


def listed(archive, precise=True):
    """What strata reads in an archive, in the form of seen()."""
    lines = [json.loads(line) for line in run(tar_list, archive).splitlines()]
    end = lines.pop()
    if end["error"] or not end["whole"] or end["events"]:
        sys.exit(f"seed {seed}: {archive}: {end}")
    tree, first = {}, {}
    for entry in lines:
        path = os.path.normpath(entry["path"])
        if entry["type"] == "1":
            target = os.path.normpath(entry["link"])
            tree[path] = tree[target]
            first[path] = first[target]
            continue
        seconds, nanoseconds = entry["mtime"].split(".")
        node = {"mode": entry["mode"], "kind": KINDS[entry["type"]], "uid": entry["uid"], "gid": entry["gid"],
                "mtime": int(seconds) * 10**9 + int(nanoseconds) if precise else int(seconds)}
        if entry["type"] == "2":
            node["link"] = entry["link"]
        if entry["type"] == "0":
            node["sha256"] = entry["sha256"]
        if entry["type"] in "34":
            node["device"] = entry["device"]
        if entry["type"] != "2":
            node["xattrs"] = {x: v for x, v in entry["xattrs"].items() if x.startswith("user.") or x in ACL}
        tree[path] = node
        first[path] = path
    for path, node in tree.items():
        if node["kind"] == stat.S_IFREG:
            node["group"] = sorted(p for p, f in first.items() if f == first[path])
    return tree


def compare(what, got, want, without=()):
    """Ends the test at the first difference."""
    if "bsdtar" in what:
        # libarchive takes the fraction of a time before 1970 as added to its seconds, both when it writes and when it
        # reads; to GNU tar, Go and strata -1.5 is one and a half seconds before.
        for path, node in want.items():
            if node["mtime"] < 0 and path in got:
                got[path]["mtime"] = node["mtime"]
    for path in sorted(set(got) | set(want)):
        a, b = got.get(path), want.get(path)
        if a is None or b is None:
            sys.exit(f"seed {seed}: {what}: {path!r} is {'missing' if a is None else 'too much'}")
        for key in set(a) | set(b):
            if key not in without and a.get(key) != b.get(key):
                sys.exit(f"seed {seed}: {what}: {path!r}: {key} is {str(a.get(key))[:200]}, not {str(b.get(key))[:200]}")


def read_from_peers(work, tree, small):
    archive = os.path.join(work, "peer.tar")
    everything = ["--xattrs", "--acls"]
    ways = {"gnu tar, pax": (["tar", "--format=pax", *everything], True, ())}
    for version in ("0.0", "0.1", "1.0"):
        ways[f"gnu tar, pax, sparse {version}"] = (
            ["tar", "--format=pax", "--sparse", f"--sparse-version={version}", *everything], True, ())
    ways["bsdtar, pax"] = (["bsdtar", "--format=pax"], True, ())
    ways["bsdtar, pax, sparse"] = (["bsdtar", "--format=pax", "--read-sparse"], True, ())
    for form in ("gnu", "oldgnu"):
        ways[f"gnu tar, {form}"] = (["tar", f"--format={form}"], False, ("xattrs",))
        ways[f"gnu tar, {form}, sparse"] = (["tar", f"--format={form}", "--sparse"], False, ("xattrs",))
    if small:
        ways["bsdtar, gnutar"] = (["bsdtar", "--format=gnutar"], False, ("xattrs",))
        ways["bsdtar, ustar"] = (["bsdtar", "--format=ustar"], False, ("xattrs",))
        ways["bsdtar, v7"] = (["bsdtar", "--format=v7"], False, ("xattrs",))
        ways["gnu tar, ustar"] = (["tar", "--format=ustar"], False, ("xattrs",))
        ways["gnu tar, v7"] = (["tar", "--format=v7"], False, ("xattrs",))
    for what, (command, precise, without) in ways.items():
        if not fits(tree, what):
            continue
        run(*command, "-cf", archive, "-C", tree, ".")
        compare(f"{what}, read by strata", listed(archive, precise), seen(tree, precise), without)
        written_for_peers(work, tree, archive, what, precise, without)
    return len(ways)


def fits(tree, what):
    """v7's names are 100 bytes with the slash, its directories have none of their own in GNU tar."""
    if "v7" not in what:
        return True
    return all(len(os.fsencode(p.relative_to(tree))) < 96 for p in pathlib.Path(tree).rglob("*"))


def written_for_peers(work, tree, archive, what, precise, without):
    copy = os.path.join(work, "strata.tar")
    pathlib.Path(copy).write_bytes(run(tar_list, archive, "--copy"))
    compare(f"{what}, written again", listed(copy, precise), seen(tree, precise), without)
    # bsdtar doesn't archive depth first, and GNU tar would set a directory's time too early.
    gnu = ["tar", "--delay-directory-restore", "--warning=no-timestamp", "--xattrs", "--acls", "-p"]
    extracts = {
        "gnu tar": gnu,
        "gnu tar with all xattrs": [*gnu, "--xattrs-include=*"],
        "bsdtar": ["bsdtar", "-p"],
    }
    for peer, command in extracts.items():
        into = os.path.join(work, "extracted")
        os.mkdir(into)
        run(*command, "-xf", copy, "-C", into)
        owners = () if privileged else ("uid", "gid")
        got, want = seen(into, precise), seen(tree, precise)
        if peer == "bsdtar":
            # 3.6 sets the time of "." before it sets others' beneath it; of GNU tar's archives too.
            got["."]["mtime"] = want["."]["mtime"]
            # And it loses the default ACL of "." at times, of GNU tar's archives too.
            for side in (got, want):
                side["."]["xattrs"].pop("system.posix_acl_default", None)
        compare(f"{what}, written by strata, extracted by {peer}", got, want, (*without, *owners))
        run("chmod", "-R", "u+rwX", into)
        shutil.rmtree(into)
    if privileged and shutil.which("umoci"):
        unpacked_by_umoci(work, tree, copy, what, precise, without)


def unpacked_by_umoci(work, tree, layer, what, precise, without):
    """As a layer of an image: umoci reads by Go's archive/tar, as containerd and Docker do."""
    image, bundle = os.path.join(work, "image"), os.path.join(work, "bundle")
    run("umoci", "init", "--layout", image)
    run("umoci", "new", "--image", image + ":layer")
    run("umoci", "raw", "add-layer", "--image", image + ":layer", layer)
    run("umoci", "unpack", "--image", image + ":layer", bundle)
    compare(f"{what}, written by strata, unpacked by umoci", seen(os.path.join(bundle, "rootfs"), precise),
            seen(tree, precise), without)
    shutil.rmtree(image)
    shutil.rmtree(bundle)


count = 0
with tempfile.TemporaryDirectory(prefix="strata-tar-peers-") as work:
    for small in (True, False):
        tree = os.path.join(work, "small" if small else "large")
        grow(tree, small)
        adorn(tree, small)
        count += read_from_peers(work, tree, small)
print(f"seed {seed}: {count} archives of peers read, written again and extracted by each peer")
