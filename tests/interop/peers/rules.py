"""Cases of the rules of apply (docs/semantics.md): layers, and the tree that must come out."""
import dataclasses
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "hostile"))

from tar_bytes import (END, device, entry, fifo, file, folder, gzip_member, hard, header, hides, hides_all, layer, pax,
                       soft,  # noqa: E402
                       sparse, xattr)

BASE = layer(folder("."), folder("d", 0o700), file("d/a", b"a"), file("d/b", b"b"), folder("d/s"), file("d/s/c", b"c"),
             file("top", b"t"), soft("l", "d"))
D, TOP, L = "d/ 700\nd/a 644 'a'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\n", "top 644 't'\n", "l -> d\n"


@dataclasses.dataclass(frozen=True)
class Rule:
    """`tree` is as tests/hostile/tree_text.py tells one; None: the layers must be refused. The root counts where it is
    in it."""
    rule: str
    what: str
    layers: tuple
    tree: str
    plain: bool = False  # no whiteouts: any tar can do it


def rule(number, what, tree, *layers, plain=False):
    return Rule(number, what, tuple(layers), tree, plain)


RULES = [
    rule("A1", "a whiteout before its entry", "f 644 'new'\n", layer(folder("."), file("f", b"old")),
         layer(hides("f"), file("f", b"new"))),
    rule("A1", "a whiteout after its entry", "f 644 'new'\n", layer(folder("."), file("f", b"old")),
         layer(file("f", b"new"), hides("f"))),
    rule("A2", "a whiteout, then a directory", "d/ 755\nd/n 644 'x'\n" + TOP + L, BASE,
         layer(hides("d"), folder("d"), file("d/n"))),
    rule("A2", "a directory, then a whiteout", "d/ 755\nd/n 644 'x'\n" + TOP + L, BASE,
         layer(folder("d"), file("d/n"), hides("d"))),
    rule("A3", "an implied directory, then a whiteout", "d/ 755\nd/n 644 'x'\n" + TOP + L, BASE,
         layer(file("d/n"), hides("d"))),
    rule("A4", "opaque first", "d/ 711\nd/n 644 'x'\n" + TOP + L, BASE,
         layer(folder("d", 0o711), hides_all("d"), file("d/n"))),
    rule("A4", "opaque last", "d/ 711\nd/n 644 'x'\nd/s/ 755\nd/s/m 644 'x'\n" + TOP + L, BASE,
         layer(folder("d", 0o711), file("d/n"), file("d/s/m"), hides_all("d"))),
    rule("A4", "opaque root", "f 644 'x'\n", BASE, layer(hides_all(), file("f"))),
    rule("A5", "a whiteout in an opaque directory", "d/ 755\nd/b 644 'B'\n" + TOP + L, BASE,
         layer(folder("d"), hides_all("d"), hides("d/a"), file("d/b", b"B"))),
    rule("A6", "whiteouts of a directory and in it", TOP + L, BASE, layer(hides("d"), hides("d/a"))),
    rule("A6", "a whiteout where nothing is", D + TOP + L + "f 644 'x'\n", BASE, layer(hides("no/such"), file("f"))),
    rule("A7", "a whiteout of no name", None, BASE, layer(file("f"), hides(""))),
    rule("A7", "a whiteout of '..'", None, BASE, layer(file("f"), hides("d/.."))),
    rule("A8", "a whiteout that is a hardlink", TOP + L, BASE, layer(hard(".wh.d", "top"))),
    rule("A9", "bookkeeping of AUFS", D + TOP + L, BASE,
         layer(folder(".wh..wh.plnk"), file(".wh..wh.plnk/1"), file(".wh..wh.aufs"))),
    rule("A10", "a directory's attributes", "d/ 711 @5\nd/a 644 'a'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\n" + TOP + L,
         BASE,
         layer(folder("d", 0o711, mtime=5)), plain=True),
    rule("A10", "an xattr that the entry lacks", "d/ 755\n",
         layer(folder("."), folder("d", records=[xattr("user.n", "v")])),
         layer(folder("d")), plain=True),
    rule("A10", "the root's attributes", "./ 711 @5\nf 644 'x'\n", layer(folder("."), file("f")),
         layer(folder(".", 0o711, mtime=5)),
         plain=True),
    rule("A10", "a file in place of a directory", "d 644 'f'\n" + TOP + L, BASE, layer(file("d", b"f"))),
    rule("A10", "a directory in place of a file", D + L + "top/ 755\n", BASE, layer(folder("top"))),
    rule("A11", "a directory that isn't listed", D + "d/s/n 644 'x'\n" + TOP + L, BASE, layer(file("d/s/n")),
         plain=True),
    rule("A11", "a new directory that isn't listed", "n/ 755\nn/f 644 'x'\n", layer(folder("."), file("n/f")),
         plain=True),
    rule("A12", "a symlink below as a parent", D + "d/n 644 'x'\n" + TOP + L, BASE, layer(file("l/n")), plain=True),
    rule("A12", "a whiteout through a symlink", "d/ 700\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\n" + TOP + L, BASE,
         layer(hides("l/a"))),
    rule("A12", "a directory in place of a symlink", D + TOP + "l/ 755\nl/n 644 'x'\n", BASE,
         layer(folder("l"), file("l/n"))),
    rule("A12", "a symlink of the layer as a parent", "r/ 755\nr/f 644 'x'\nw -> /r\n",
         layer(folder("."), folder("r"), soft("w", "/r"), file("w/f")), plain=True),
    rule("A12", "a symlink to the outside as a parent", None, layer(folder("."), soft("w", "/proc/self"), file("w/f"))),
    rule("A13", "a file below as a parent", D + L + "top/ 755\ntop/f 644 'x'\n", BASE, layer(file("top/f"))),
    rule("A14", "a hardlink to an earlier entry", "a 644 'x'\nb 644 'x' = a\n",
         layer(folder("."), file("a"), hard("b", "a")),
         plain=True),
    rule("A14", "a hardlink to a later entry", "a 644 'x'\nb 644 'x' = a\n",
         layer(folder("."), hard("a", "b"), file("b")), plain=True),
    rule("A14", "a hardlink to a file below", D + TOP + L + "h 644 'a' = d/a\n", BASE, layer(hard("h", "d/a")),
         plain=True),
    rule("A14", "a hardlink to a symlink", "h -> n\ns -> n = h\n", layer(folder("."), soft("s", "n"), hard("h", "s")),
         plain=True),
    rule("A14", "a hardlink with another mode", "a 600 'x'\nb 600 'x' = a\n",
         layer(folder("."), file("a"), hard("b", "a", mode=0o600)), plain=True),
    rule("A14", "a hardlink to nothing", None, BASE, layer(hard("h", "no")), plain=True),
    rule("A15", "setuid, an owner, a capability",
         "f 4755 'x' 5:6 security.capability='\\x01\\x00\\x00\\x02\\x00 " + "\\x00" * 14 + "'\n",
         layer(folder("."), file("f", mode=0o4755, uid=5, gid=6, records=[
             xattr("security.capability", b"\1\0\0\2\0\x20" + bytes(14))]))),
    rule("A16", "nanoseconds", "f 644 'x' @5+123456789ns\n",
         layer(folder("."), file("f", records=[("mtime", "5.123456789")])),
         plain=True),
    rule("A16", "a time before 1970", "f 644 'x' @-1\n", layer(folder("."), file("f", mtime=-1)), plain=True),
    rule("A17", "trusted.overlay.opaque", D + TOP + L, BASE,
         layer(folder("d", 0o700, records=[xattr("trusted.overlay.opaque", "y")]))),
    rule("A17", "trusted.overlay.redirect", D + TOP + L + "n/ 755\n", BASE,
         layer(folder("n", records=[xattr("trusted.overlay.redirect", "/d")]))),
    rule("A18", "a device 0:0", D + TOP + L, BASE, layer(device("top", "3", 0, 0))),
    rule("A20", "a FIFO and a device", "n 644 char 1:3\np 644 fifo\n",
         layer(folder("."), fifo("p"), device("n", "3", 1, 3)),
         plain=True),
    rule("A20", "a name that is not UTF-8", "\\xff\\xfe 644 'x'\n", layer(folder("."), file(b"\xff\xfe")), plain=True),
    rule("A20", "a sparse file", "f 644 100000 bytes, 8192:'b'\n",
         layer(folder("."), sparse("f", [(8192, 1), (100_000, 0)], 100_000, b"b")),
         plain=True),
    rule("A20", "global records", "f 644 'x' @5\n",
         pax(("mtime", "5"), kind="g") + layer(folder(".", mtime=1000), file("f", mtime=1000)),
         plain=True),
    rule("A20", "several gzip members", "f 644 'x'\n", gzip_member(folder(".")) + gzip_member(layer(file("f")))),
    rule("A21", "a path twice", "f 644 'two'\n", layer(folder("."), file("f", b"one"), file("f", b"two")), plain=True),
    rule("A21", "a symlink, then a file of its name", "f 644 'two'\ng 644 'g'\n",
         layer(folder("."), file("g", b"g"), soft("f", "g"), file("f", b"two")), plain=True),
    rule("A22", "an absolute name", "n/ 755\nn/f 644 'x'\n", layer(folder("."), folder("/n"), file("/n/f")),
         plain=True),
    rule("A22", "'..' that stays inside", "f 644 'x'\nn/ 755\n", layer(folder("."), folder("n"), file("n/../f")),
         plain=True),
    rule("A22", "'..' that leaves", None, layer(folder("."), file("../../f")), plain=True),
    rule("A23", "an archive after the end", "f 644 'x'\n", layer(folder("."), file("f")) + layer(file("g")),
         plain=True),
    rule("A23", "half an end marker, and more", None, folder(".") + file("f") + bytes(512) + file("g") + END,
         plain=True),
    rule("A23", "cut in a content", None, folder(".") + header("f", size=1000) + bytes(600), plain=True),
    rule("A24", "an owner beyond 32 bits", None, layer(folder("."), entry("f", content=b"x", uid=1 << 40)), plain=True),
]
