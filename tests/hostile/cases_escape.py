"""Layers that try to reach what is outside of the root: by names, symlinks, hardlinks, whiteouts, attributes, devices."""
from case import BASE, BASE_TREE, D, L, TOP, Case
from tar_bytes import (device, fifo, file, folder, gnu_long, hard, header, hides, hides_all, layer, libarchive_xattr,
                       pax, soft, xattr)

LEAVES = "leads out of the root"
NO_DIRECTORY = "no directory below|no such directory"
MISSING = "neither this layer nor one below has it"
NO_NAME = "whiteout of no name"


def names(c):
    evil = c.way() + f"{c.inside}/evil 644 'x'\n"
    return [
        Case("'..' at the start of a name", layer(file("good"), file("../evil")), refused=LEAVES),
        Case("many '..', then an absolute place", layer(file("../" * 40 + c.inside + "/evil")), refused=LEAVES),
        Case("'..' that leaves on its way", layer(file("d/../../evil")), base=BASE, refused=LEAVES),
        Case("'..' that stays inside", layer(folder("n"), file("n/../f")), tree="f 644 'x'\nn/ 755", reports="A22"),
        Case("'..' through a directory that isn't there", layer(file("no/../f")), tree="f 644 'x'", reports="A22"),
        Case("'..' a thousand times, and back", layer(file("a/../" * 1000 + "f")), tree="f 644 'x'", reports="A22"),
        Case("'..' in a PAX path", layer(pax(("path", "../evil")), file("good")), refused=LEAVES),
        Case("'..' in a GNU long name", layer(gnu_long("L", "../evil"), file("good")), refused=LEAVES),
        Case("'..' in the prefix of a ustar name", layer(file("evil", prefix="..")), refused=LEAVES),
        Case("a directory '..'", layer(folder("..", 0o777)), refused=LEAVES),
        Case("a symlink '..'", layer(soft("d/../..", c.outside)), base=BASE, refused=LEAVES),
        Case("an absolute name", layer(file(c.outside + "/evil")), tree=evil, reports="A22"),
        Case("an absolute name in a PAX path", layer(pax(("path", c.outside + "/evil")), file("good")), tree=evil,
             reports="A22"),
        Case("an absolute name with many slashes", layer(file("///" + c.outside + "//evil")), tree=evil, reports="A22"),
        Case("the file that the secret is in, by its absolute name", layer(file(c.outside + "/secret", b"evil")),
             tree=c.way() + f"{c.inside}/secret 644 'evil'", reports="A22"),
        Case("the directory outside, by its absolute name, without rights", layer(folder(c.outside, 0)),
             tree=c.way()[:-4] + "0\n", reports="A22", needs_rights=True),
        Case("a directory '/'", layer(folder("/", 0o711)), base=BASE, tree=BASE_TREE + "./ 711"),
        Case("a directory './/.'", layer(folder(".//.", 0o711)), base=BASE, tree=BASE_TREE + "./ 711"),
        Case("a file '.'", layer(file("."), file("f")), base=BASE, tree=BASE_TREE + "f 644 'x'", reports="tar"),
        Case("a symlink '.'", layer(soft("./", c.outside), file("f")), base=BASE, tree=BASE_TREE + "f 644 'x'",
             reports="tar"),
        Case("a FIFO with no name", layer(header("", "6"), file("f")), base=BASE, tree=BASE_TREE + "f 644 'x'",
             reports="tar"),
        Case("a name that would write to the terminal", layer(file("../\x1b]0;evil\x07\n\r\x9b")), refused=LEAVES),
        Case("a whiteout of '..'", layer(hides("..")), refused=NO_NAME),
        Case("a whiteout of '..' in a directory", layer(hides("d/..")), base=BASE, refused=NO_NAME),
        Case("a whiteout of '.'", layer(hides(".")), base=BASE, refused=NO_NAME),
        Case("a whiteout of no name", layer(hides("d/")), base=BASE, refused=NO_NAME),
        Case("a whiteout outside of the root", layer(hides("../victim")), refused=LEAVES),
        Case("a whiteout by an absolute name", layer(hides(c.outside + "/secret")), base=BASE, tree=BASE_TREE,
             reports="A22"),
        Case("all of what is outside, opaque", layer(hides_all("..")), refused=LEAVES),
        Case("entries beneath a whiteout", layer(file(".wh.d/evil")), base=BASE, refused="name of a whiteout"),
        Case("the name of a staging directory", layer(folder(".strata-apply.evil"), file(".strata-apply.evil/lock")),
             tree=".strata-apply.evil/ 755\n.strata-apply.evil/lock 644 'x'"),
        Case("a staging directory below whose lock is a symlink", layer(file("f")),
             base=(("d", ".strata-apply.evil", 0o755), ("l", ".strata-apply.evil/lock", c.outside + "/secret")),
             tree=f".strata-apply.evil/ 755\n.strata-apply.evil/lock -> {c.outside}/secret\nf 644 'x'"),
        Case("a staging directory below whose lock is a FIFO", layer(file("f")),
             base=(("d", ".strata-apply.evil", 0o755), ("p", ".strata-apply.evil/lock")),
             tree=".strata-apply.evil/ 755\n.strata-apply.evil/lock 644 fifo\nf 644 'x'"),
        Case("a staging directory below whose lock is a directory", layer(file("f")),
             base=(("d", ".strata-apply.evil", 0o755), ("d", ".strata-apply.evil/lock", 0o755)),
             tree=".strata-apply.evil/ 755\n.strata-apply.evil/lock/ 755\nf 644 'x'"),
        Case("a staging directory below that is a symlink", layer(file("f")),
             base=(("l", ".strata-apply.evil", c.outside),),
             tree=f".strata-apply.evil -> {c.outside}\nf 644 'x'"),
    ]


def chain(length, target):
    return [soft(f"c{n}", f"c{n + 1}") for n in range(length - 1)] + [soft(f"c{length - 1}", target)]


def symlinks(c):
    doubling = [soft("z0", "."), *(soft(f"z{n}", f"z{n - 1}/z{n - 1}") for n in range(1, 30))]
    short = [soft("c0", "c1"), *chain(30, "n")[1:]]
    return [
        Case("a symlink to the outside, then a file through it", layer(soft("way", c.outside), file("way/evil")),
             refused=NO_DIRECTORY),
        Case("a relative symlink to the outside, then a file through it",
             layer(soft("way", "../" * 30 + c.inside), file("way/evil")), refused=NO_DIRECTORY),
        Case("a symlink to the outside that is there inside too",
             layer(folder(c.inside), soft("way", c.outside), file("way/evil")),
             tree=c.way() + f"{c.inside}/evil 644 'x'\nway -> {c.outside}"),
        Case("a chain of symlinks to the outside", layer(*chain(5, c.outside), file("c0/evil")), refused=NO_DIRECTORY),
        Case("a chain of 30 symlinks inside", layer(folder("n"), *short, file("c0/f")),
             tree="n/ 755\nn/f 644 'x'\n" + "".join(f"c{i} -> c{i + 1}\n" for i in range(29)) + "c29 -> n"),
        Case("a chain of 60 symlinks", layer(folder("n"), *chain(60, "n"), file("c0/evil")),
             refused="too many symlinks|symlink"),
        Case("symlinks in a circle", layer(soft("a", "b"), soft("b", "a"), file("a/evil")), refused="symlink"),
        Case("a symlink to itself", layer(soft("a", "a/a"), file("a/evil")), refused="symlink"),
        Case("symlinks that double with each step", layer(*doubling, file("z29/evil")), refused="symlink"),
        Case("a symlink below to the outside, then a file through it", layer(file("way/evil")),
             base=(("l", "way", c.outside),), refused=NO_DIRECTORY),
        Case("a relative symlink below to the outside, then a file through it", layer(file("way/evil")),
             base=(("l", "way", "../../outside"),), refused=NO_DIRECTORY),
        Case("a symlink of the layer to one below to the outside", layer(soft("first", "way"), file("first/evil")),
             base=(("l", "way", c.outside),), refused=NO_DIRECTORY),
        Case("a directory in place of a symlink below to the outside", layer(folder("way", 0o711), file("way/f")),
             base=(("l", "way", c.outside),), tree="way/ 711\nway/f 644 'x'"),
        Case("a symlink to the outside, then a directory of its name",
             layer(soft("way", c.outside), folder("way"), file("way/f")),
             tree="way/ 755\nway/f 644 'x'", reports="A21"),
        Case("a directory, then a symlink of its name, then a file through it",
             layer(folder("way"), file("way/f"), soft("way", c.outside), file("way/evil")), refused=NO_DIRECTORY),
        Case("a symlink to the secret, then a file of its name",
             layer(soft("f", c.outside + "/secret"), file("f", b"evil")),
             tree="f 644 'evil'", reports="A21"),
        Case("a symlink below to the secret, then a file of its name", layer(file("f", b"evil")),
             base=(("l", "f", c.outside + "/secret"),), tree="f 644 'evil'"),
        Case("a symlink below to the secret, then an entry without content of its name", layer(fifo("f")),
             base=(("l", "f", c.outside + "/secret"),), tree="f 644 fifo"),
        Case("a symlink to a file, then a file through it", layer(file("f"), soft("way", "f"), file("way/evil")),
             refused="no such directory"),
        Case("a symlink to a directory below, then a file through it", layer(soft("k", "l/s"), file("k/f")), base=BASE,
             tree=D + "d/s/f 644 'x'\nk -> l/s\n" + TOP + L),
        Case("a symlink to '..' of the root, then a file through it", layer(soft("up", "../../.."), file("up/f")),
             tree="f 644 'x'\nup -> ../../.."),
        Case("a whiteout through a symlink below to the outside", layer(hides("way/secret")),
             base=(("l", "way", c.outside),),
             refused=NO_DIRECTORY),
        Case("an opaque directory through a symlink below to the outside", layer(hides_all("way")),
             base=(("l", "way", c.outside),), refused=NO_DIRECTORY),
        Case("a whiteout through a symlink below", layer(hides("l/a"), hides("l/s")), base=BASE,
             tree="d/ 700\nd/b 644 'b'\n" + TOP + L),
        Case("an opaque directory through a symlink below", layer(hides_all("l"), file("l/f")), base=BASE,
             tree="d/ 700\nd/f 644 'x'\n" + TOP + L),
        Case("a whiteout of the symlink itself", layer(hides("way")), base=(("l", "way", c.outside), ("f", "f", b"f")),
             tree="f 644 'f'"),
        Case("an empty target", layer(soft("s", "")), refused="symlink"),
        Case("a target of 4,095 bytes", layer(soft("s", "t" * 4095)), tree="s -> " + "t" * 4095),
        Case("a target of 4,096 bytes", layer(soft("s", "t" * 4096)), refused="path_bytes=4095"),
    ]


def hardlinks(c):
    secret = c.outside + "/secret"
    return [
        Case("a hardlink to the secret by its absolute name", layer(hard("h", secret)), refused=MISSING),
        Case("a hardlink to the secret by '..'", layer(hard("h", "../../outside/secret")), refused=LEAVES),
        Case("a hardlink through a symlink to the outside", layer(soft("way", c.outside), hard("h", "way/secret")),
             refused=MISSING),
        Case("a hardlink through a symlink below to the outside", layer(hard("h", "way/secret")),
             base=(("l", "way", c.outside),), refused=MISSING),
        Case("a hardlink whose own name leads outside", layer(file("f"), soft("way", c.outside), hard("way/h", "f")),
             refused=NO_DIRECTORY),
        Case("a hardlink to a symlink isn't followed", layer(soft("s", secret), hard("h", "s")),
             tree=f"h -> {secret}\ns -> {secret} = h"),
        Case("a hardlink to a symlink to the secret, then a file of its name",
             layer(soft("s", secret), hard("h", "s"), file("h", b"evil")), tree=f"h 644 'evil'\ns -> {secret}",
             reports="A21"),
        Case("a hardlink to a symlink below to the secret, then a file of its name",
             layer(hard("h", "s"), file("h", b"evil")), base=(("l", "s", secret),), tree=f"h 644 'evil'\ns -> {secret}",
             reports="A21"),
        Case("a hardlink to a file, then a file of its name", layer(hard("h", "top"), file("h", b"new")), base=BASE,
             tree=BASE_TREE + "h 644 'new'", reports="A21"),
        Case("a hardlink to a directory", layer(folder("n"), hard("h", "n")), refused="it is a directory"),
        Case("a hardlink to a directory below", layer(hard("h", "d")), base=BASE, refused="it is a directory"),
        Case("a hardlink to the root", layer(hard("h", "/")), base=BASE, refused="it is a directory|the root"),
        Case("a hardlink to '.'", layer(hard("h", ".")), base=BASE, refused="it is a directory|the root"),
        Case("a hardlink to nothing", layer(hard("h", "")), base=BASE, refused="it is a directory|the root|no target"),
        Case("a hardlink to itself where nothing is", layer(hard("h", "h")), refused=MISSING),
        Case("a hardlink to itself", layer(file("h"), hard("h", "h", mode=0o600)), tree="h 600 'x'", reports="A21"),
        Case("a hardlink to itself below", layer(hard("top", "top")), base=BASE, tree=BASE_TREE, reports="A21"),
        Case("hardlinks in a circle", layer(hard("a", "b"), hard("b", "c"), hard("c", "a")), refused=MISSING),
        Case("a hardlink to a whiteout", layer(hides("top"), hard("h", ".wh.top")), base=BASE,
             refused=MISSING + "|whiteout"),
        Case("a hardlink to a file that the layer hides", layer(hides("top"), hard("h", "top")), base=BASE,
             tree=D + L + "h 644 't'"),
        Case("a hardlink to a file in a directory that the layer hides", layer(hides("d"), hard("h", "d/a")), base=BASE,
             refused=MISSING),
        Case("a hardlink to a FIFO below", layer(hard("h", "p")), base=(("p", "p"),),
             tree="h 644 fifo\np 644 fifo = h"),
        Case("a whiteout that is a hardlink", layer(hard(".wh.d", "top")), base=BASE, tree=TOP + L),
        Case("a hardlink that makes a file below setuid", layer(hard("h", "top", mode=0o4755)), base=BASE,
             tree=D + L + "h 4755 't'\ntop 4755 't' = h"),
        Case("a hardlink that makes a file of others setuid, before an owner", layer(
            file("f", mode=0o4711, uid=0), hard("h", "f", mode=0o4711, uid=5, gid=6)),
             skip=None if c.owners else "one id alone",
             tree="f 4711 'x' 5:6\nh 4711 'x' 5:6 = f"),
        Case("a hardlink with content of its own",
             layer(file("f", b"f"), header("h", "1", link="f", size=512), file("g", b"g")),
             tree="f 644 'f'\ng 644 'g'\nh 644 'f' = f"),
        Case("20,000 hardlinks, each to the next", lambda: [hard(f"h{n}", f"h{n + 1}") for n in range(20000)]
             + [file("h20000", b"f"), bytes(1024)],
             tree="h0 644 'f'\n" + "".join(f"h{n} 644 'f' = h0\n" for n in range(1, 20001))),
        Case("a file that has a name outside is replaced, not written to", layer(file("shared", b"evil")),
             base=(("o", "shared"),), tree="shared 644 'evil'"),
    ]


def replaced(c):
    return [
        Case("a file in place of a directory", layer(file("d", b"f")), base=BASE, tree="d 644 'f'\n" + TOP + L),
        Case("a symlink to the outside in place of a directory", layer(soft("d", c.outside)), base=BASE,
             tree=f"d -> {c.outside}\n" + TOP + L),
        Case("a directory in place of a file", layer(folder("top"), file("top/f")), base=BASE,
             tree=D + L + "top/ 755\ntop/f 644 'x'"),
        Case("a file as the parent of another", layer(file("top/f")), base=BASE,
             tree=D + L + "top/ 755\ntop/f 644 'x'"),
        Case("a FIFO as the parent of a file", layer(file("p/f")), base=(("p", "p"),), tree="p/ 755\np/f 644 'x'"),
        Case("a file in place of a FIFO", layer(file("p")), base=(("p", "p"),), tree="p 644 'x'"),
        Case("a name that is a directory, a file, a directory, a symlink",
             layer(folder("n"), file("n/a"), file("n"), folder("n"), file("n/b"), soft("n", "l")), base=BASE,
             tree=BASE_TREE + "n -> l", reports="A21"),
        Case("directories without rights, and files in them",
             layer(folder("n", 0), file("n/f", mode=0), folder("n/m", 0), file("n/m/g", mode=0)),
             tree="n/ 0\nn/f 0 'x'\nn/m/ 0\nn/m/g 0 'x'", needs_rights=True),
        Case("a whiteout and an entry, each before the other",
             layer(hides("d"), folder("d", 0o711), file("top", b"new"), hides("top")), base=BASE,
             tree="d/ 711\ntop 644 'new'\n" + L),
        Case("a whiteout in a directory that the layer makes a file", layer(file("d", b"f"), hides("d/a")), base=BASE,
             tree="d 644 'f'\n" + TOP + L),
    ]


def attributes(c):
    below = (("d", "d", 0o755), ("f", "d/a", b"a"), ("f", "f", b"secret below"))
    unchanged = "d/ 755\nd/a 644 'a'\n"
    cases = [Case(f"the attribute {key} of a directory",
                  layer(folder("d", records=[xattr(key, value)])), base=below, tree=unchanged + "f 644 'secret below'",
                  reports="A17")
             for key, value in (("trusted.overlay.opaque", "y"), ("user.overlay.opaque", "y"),
                                ("trusted.overlay.redirect", "/../../outside"), ("user.overlay.redirect", "/d"),
                                ("trusted.overlay.overlay.opaque", "y"), ("trusted.overlay.impure", "y"))]
    cases += [Case(f"the attribute {key} of a file", layer(file("f", b"", records=[xattr(key, value)])), base=below,
                   tree=unchanged + "f 644 ''", reports="A17")
              for key, value in (("trusted.overlay.metacopy", ""), ("user.overlay.metacopy", ""),
                                 ("user.overlay.whiteout", ""),
                                 ("trusted.overlay.origin", b"\0\xfb\x1d\0"), ("trusted.overlay.redirect", "/d/a"))]
    return cases + [
        Case("an overlay's attribute as LIBARCHIVE.xattr",
             layer(folder("d", records=[libarchive_xattr("trusted.overlay.opaque", "y")])),
             base=below, tree=unchanged + "f 644 'secret below'", reports="A17"),
        Case("an overlay's attribute of the root", layer(folder(".", records=[xattr("trusted.overlay.opaque", "y")])),
             base=below,
             tree=unchanged + "f 644 'secret below'", reports="A17"),
        Case("an overlay's attribute for all, by a global header",
             layer(pax(xattr("trusted.overlay.opaque", "y"), kind="g"), folder("d")), base=below,
             tree=unchanged + "f 644 'secret below'", reports="A17"),
        Case("an attribute of no namespace", layer(file("g", records=[xattr("evil", "v")])), tree="g 644 'x'",
             reports="A17"),
        Case("an attribute with a name of 300 bytes", layer(file("g", records=[xattr("user." + "n" * 300, "v")])),
             refused="set the attribute"),
        Case("an attribute of 100 KB", layer(file("g", records=[xattr("user.n", b"v" * 100_000)])),
             refused="set the attribute"),
        Case("a device 0:0", layer(device("n", "3", 0, 0), file("f")), tree="f 644 'x'", reports="A18"),
        Case("a device 0:0 over a file below", layer(device("f", "3", 0, 0)), base=below,
             tree=unchanged + "f 644 'secret below'",
             reports="A18"),
        Case("a block device", layer(device("disk", "4", 8, 0, mode=0o666), file("f")),
             tree="f 644 'x'" + ("\ndisk 666 block 8:0" if c.makes_devices else ""),
             reports=None if c.makes_devices else "A19"),
        Case("a hardlink to a device", layer(device("mem", "3", 1, 1), hard("h", "mem"), file("f")),
             tree="f 644 'x'" + ("\nh 644 char 1:1\nmem 644 char 1:1 = h" if c.makes_devices else ""),
             reports=None if c.makes_devices else "A19"),
        Case("modes with a file's type in them", layer(file("f", mode=0o120777), folder("n", 0o177777)),
             tree="f 777 'x'\nn/ 7777"),
        Case("an owner of 2^40", layer(file("f", uid=1 << 40)), **(
            {"refused": "1099511627776"} if c.owners else {"tree": "f 644 'x'", "reports": "A24"})),
        Case("an owner that means none", layer(file("f", uid=0xffffffff, gid=0xffffffff)), **(
            {"refused": "4294967295"} if c.owners else {"tree": "f 644 'x'", "reports": "A24"})),
    ]


def cases(c):
    return names(c) + symlinks(c) + hardlinks(c) + replaced(c) + attributes(c)
