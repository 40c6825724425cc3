"""Much of something: bytes, names, depth, entries."""
from case import BASE, BASE_TREE, Case
from tar_bytes import (END, fifo, file, folder, gzip_of_zeros, hard, header, hides, layer, many, pax, soft, xattr,
                       zstd_frame)

F = "f 644 'x'"


def bombs(c):
    huge = 256 << 20  # four times what the box has room for
    no_room = {"refused": "[Nn]o space|no room", "skip": None if c.own_tmpfs else "would fill the disk"}
    tail = layer(file("f"))
    repeats = [(b"\0", 128 << 10)] * (huge >> 17)
    return [
        Case("a gzip bomb", lambda: gzip_of_zeros(header("f", size=huge), huge >> 20, END), base=BASE, **no_room),
        Case("a gzip bomb after the end of the archive", lambda: gzip_of_zeros(tail, 256, b""),
             refused="ratio=200"),
        Case("a gzip bomb in an extension", lambda: gzip_of_zeros(header("x", "x", size=huge), huge >> 20, END),
             refused="over the limit"),
        Case("a gzip bomb in what has no content",
             lambda: gzip_of_zeros(folder("n") + header("f/", "5", size=huge), 1, tail),
             tar=lambda: [folder("n"), header("f/", "5", size=huge), bytes(1 << 20), tail], tree="f/ 644\nn/ 755"),
        Case("a gzip bomb in a label", lambda: gzip_of_zeros(header("label", "V", size=huge), huge >> 20, tail),
             refused="ratio=200"),
        Case("a zstd bomb", zstd_frame(header("f", size=huge), *repeats, END), base=BASE, **no_room),
        Case("a zstd bomb after the end of the archive", zstd_frame(tail, *repeats), refused="ratio=200"),
    ]


def names(c):
    long = "x" * 254 + "/"
    way = long * 15
    composed, decomposed = "\u00e9", "e\u0301"
    odd = [b"new\nline", b"tab\t", b"\xff\xfe", b"-rf", b"a\\b", b"*", b"%s", b" ", b"...", b"a:b,c=d", b"\x1b[31m",
           b"\x7f"]
    shown = ["new\\x0aline", "tab\\x09", "\\xff\\xfe", "-rf", "a\\x5cb", "*", "%s", "\\x20", "...", "a:b,c=d",
             "\\x1b[31m", "\\x7f"]
    return [
        Case("a name of 255 bytes", layer(file("n" * 255)), tree="n" * 255 + " 644 'x'"),
        Case("a name of 256 bytes", layer(file("good"), file("n" * 256)), base=BASE, refused="255 bytes"),
        Case("a directory's name of 256 bytes", layer(file("n" * 256 + "/f")), refused="255 bytes"),
        Case("a whiteout of a name of 251 bytes", layer(hides("n" * 251)),
             base=(("f", "n" * 251, b"x"), ("f", "f", b"x")), tree=F),
        Case("a whiteout of a name of 252 bytes", layer(hides("n" * 252)), base=BASE, refused="255 bytes"),
        Case("a name of 300 bytes in a symlink", layer(soft("s", "n" * 300), file("s/f")), refused="directory|longer"),
        Case("a path of 1,024 names", layer(file("x/" * 1023 + "y")),
             tree="".join("x/" * n + " 755\n" for n in range(1, 1024)) + "x/" * 1023 + "y 644 'x'"),
        Case("a path of 1,025 names", layer(file("good"), file("x/" * 1024 + "y")), base=BASE, refused="depth=1024"),
        Case("a path of 4,095 bytes", layer(file(way + "z" * 14 + "/" + "y" * 255)),
             tree="".join(long * n + " 755\n" for n in range(1, 16)) + way + "z" * 14 + "/ 755\n" +
             way + "z" * 14 + "/" + "y" * 255 + " 644 'x'"),
        Case("a path of 4,097 bytes", layer(file("good"), file(way + "z" * 16 + "/" + "y" * 255)), base=BASE,
             refused="4,?095"),
        Case("a path of 70,000 bytes", layer(file("x/" * 35_000 + "y")), refused="over the limit"),
        Case("a target of a hardlink of 70,000 bytes", layer(hard("h", "x/" * 35_000 + "y")), refused="over the limit"),
        Case("a target of a hardlink that is too deep", layer(hard("h", "x/" * 2500 + "y")), refused="path_bytes=4095"),
        Case("names that differ in case", layer(file("Name", b"1"), file("name", b"2"), file("NAME", b"3")),
             tree="Name 644 '1'\nname 644 '2'\nNAME 644 '3'"),
        Case("names that differ in their normal form",
             layer(file(composed, b"1"), file(decomposed, b"2"), hides("\u1e69")),
             base=(("f", "s\u0323\u0307", b"below"),),
             tree="\\xc3\\xa9 644 '1'\ne\\xcc\\x81 644 '2'\ns\\xcc\\xa3\\xcc\\x87 644 'below'"),
        Case("names with what a terminal or a shell would take", layer(*(file(n) for n in odd)),
             tree="\n".join(f"{s} 644 'x'" for s in shown)),
        Case("names that an overlay or a store has",
             layer(file("work/index"), file("fs/lock"), file("metadata.json"), file("#0")),
             tree="#0 644 'x'\nfs/ 755\nfs/lock 644 'x'\nmetadata.json 644 'x'\nwork/ 755\nwork/index 644 'x'"),
        Case("names like those of AUFS", layer(file(".wh..wh.plnk/5.7"), file(".wh..wh.aufs"), file("f")), base=BASE,
             tree=BASE_TREE + F, reports="A9"),
    ]


def entries(c):
    return [
        Case("100,000 entries of one path", lambda: [file("f", b"")] * 100_000 + [file("f"), END], tree=F,
             reports="A21"),
        Case("100,000 directories of one path", lambda: [folder("n/m")] * 100_000 + [folder("n/m", 0o700), END],
             tree="n/ 755\nn/m/ 700", reports="A21"),
        Case("2,000 contents of one path", lambda: [file("f", b"%d" % n) for n in range(2000)] + [END],
             tree="f 644 '1999'",
             reports="A21"),
        Case("a path that is a file and a directory in turn", lambda: [file("n", b""), file("n/f")] * 2000 + [END],
             tree="n/ 755\nn/f 644 'x'", reports="A13"),
        Case("100,000 whiteouts of one path", lambda: [hides("d")] * 100_000 + [END],
             base=(("d", "d", 0o755), ("f", "f", b"x")),
             tree=F),
        Case("whiteouts of 50,000 names that aren't there", lambda: [hides(f"no/{n}") for n in range(50_000)] + [END],
             base=BASE,
             tree=BASE_TREE),
        Case("5,000 FIFOs", lambda: [fifo(f"p{n}") for n in range(5000)] + [END],
             tree="".join(f"p{n} 644 fifo\n" for n in range(5000))),
        Case("5,000 names of one file", lambda: [file("f")] + [hard(f"h{n:04}", "f") for n in range(5000)] + [END],
             tree=F + "\n" + "".join(f"h{n:04} 644 'x' = f\n" for n in range(5000))),
        Case("a thousand directories, each with rights for none", lambda: [folder(f"n{n}", 0) for n in range(1000)]
             + [file(f"n{n}/f") for n in range(1000)] + [END],
             tree="".join(f"n{n}/ 0\nn{n}/f 644 'x'\n" for n in range(1000)), needs_rights=True),
    ]


def lines(line, count):
    return "".join(line.replace("#", f"{n:07}") + "\n" for n in range(count))


def memory(c):
    """Small things that are many, up to a budget of memory and just beyond it."""
    full = {"base": BASE, "refused": "memory=1048576", "limits": ("memory=1M",)}
    notes = {"records": [xattr("user.n", "v" * 60_000)]}
    return [
        Case("15,000 short names, for which there is memory", lambda: [*many(fifo, 15_000), END],
             tree=lines("# 644 fifo", 15_000), limits=("memory=1M",)),
        Case("short names of one directory", lambda: [*many(fifo, 20_000), END], **full),
        Case("short names, each in a directory of its own", lambda: [*many(lambda n: fifo(n + "/f"), 20_000), END],
             **full),
        Case("many directories", lambda: [*many(folder, 20_000), END], **full),
        Case("whiteouts of many names", lambda: [*many(hides, 20_000), END], **full),
        Case("whiteouts in many directories", lambda: [*many(lambda n: hides(n + "/f"), 20_000), END], **full),
        Case("symlinks with targets of 4,095 bytes", lambda: [*many(lambda n: soft(n, "t" * 4095), 600), END], **full),
        Case("directories with attributes of 60 KB each", lambda: [*many(lambda n: folder(n, **notes), 40), END],
             **full),
        Case("hardlinks that wait, with attributes of 60 KB each",
             lambda: [*many(lambda n: hard(n, "later", **notes), 40), END], **full),
        Case("global headers called by many paths",
             lambda: [*many(lambda n: header(n + "/g", "g") + hides(n + "/f"), 20_000), END], **full),
        Case("more reports than are kept, of paths of 4,000 bytes",
             lambda: [*many(lambda n: file(".wh..wh." + n + ("/" + "n" * 249) * 16), 5000), file("f"), END], tree=F,
             reports="A9"),
        Case("more reports than are kept, of paths that are longer when they are shown",
             lambda: [*many(lambda n: file(b".wh..wh." + n.encode() + (b"/" + b"\xff" * 249) * 16), 5000), file("f"),
                      END], tree=F, reports="A9"),
    ]


def attributes(c):
    def noted(size):
        return file("f", records=[xattr("user.n", "v" * (size - len("user.n")))])
    each = 4000
    notes = lambda: [*many(lambda n: file(n, records=[xattr("user.n", "v" * 294)]), each), END]
    return [
        Case("attributes of as many bytes as an entry may have", layer(noted(1000)), limits=("entry_xattr_bytes=1000",),
             tree=f"f 644 'x' user.n='{'v' * 994}'"),
        Case("attributes of a byte more than an entry may have", layer(file("good"), noted(1001)), base=BASE,
             limits=("entry_xattr_bytes=1000",), refused="entry_xattr_bytes=1000"),
        Case("attributes of 4,000 entries, as many as a layer may have", notes, limits=(f"xattr_bytes={300 * each}",),
             tree=lines(f"# 644 'x' user.n='{'v' * 294}'", each)),
        Case("attributes of 4,000 entries, a byte more than a layer may have", notes, base=BASE,
             limits=(f"xattr_bytes={300 * each - 1}",), refused="xattr_bytes="),
    ]


def work(c):
    """What could take the square of its size in time."""
    deep = "x/" * 500
    ways = "".join("x/" * n + " 755\n" for n in range(1, 501))
    pairs = range(1000)
    return [
        Case("20,000 hardlinks that wait for what comes last",
             lambda: [*many(lambda n: hard("h" + n, "z"), 20_000), file("z"), END],
             tree="h0000000 644 'x'\n" + "".join(f"h{n:07} 644 'x' = h0000000\n" for n in range(1, 20_000)) +
             "z 644 'x' = h0000000"),
        Case("100,000 hardlinks that wait for what doesn't come", lambda: [*many(lambda n: hard(n, "z"), 100_000), END],
             base=BASE, refused="neither this layer nor one below has it"),
        Case("30,000 hardlinks, each to the next, the last to nothing",
             lambda: [hard(f"h{n}", f"h{n + 1}") for n in range(30_000)] + [END], base=BASE,
             refused="neither this layer nor one below has it"),
        Case("30,000 hardlinks in circles of two", lambda: [e for n in range(15_000) for e in
                                                           (hard(f"a{n}", f"b{n}"), hard(f"b{n}", f"a{n}"))] + [END],
             base=BASE, refused="neither this layer nor one below has it"),
        Case("hardlinks to 1,000 files below that have two names each",
             lambda: [hard(f"h{n:04}", f"a{n:04}") for n in pairs] + [END],
             base=tuple(("f", f"a{n:04}", b"x") for n in pairs) + tuple(("h", f"b{n:04}", f"a{n:04}") for n in pairs),
             tree="".join(f"a{n:04} 644 'x'\nb{n:04} 644 'x' = a{n:04}\nh{n:04} 644 'x' = a{n:04}\n" for n in pairs)),
        Case("hardlinks to a file 500 directories below",
             lambda: [hard(f"h{n:02}", deep + "f") for n in range(20)] + [END],
             base=tuple(("d", deep[:2 * n - 1], 0o755) for n in range(1, 501)) + (("f", deep + "f", b"x"),),
             tree=ways + "h00 644 'x'\n" + "".join(f"h{n:02} 644 'x' = h00\n" for n in range(1, 20)) + deep +
             "f 644 'x' = h00"),
        Case("100,000 whiteouts of nothing, then entries in the same directory",
             lambda: [*many(lambda n: hides("n" + n), 100_000), *many(fifo, 2000), END], base=BASE,
             tree=BASE_TREE + lines("# 644 fifo", 2000)),
        Case("10,000 entries that move through a symlink below", lambda: [*many(lambda n: fifo("l/" + n), 10_000), END],
             base=BASE, tree=BASE_TREE + lines("d/# 644 fifo", 10_000)),
        Case("100,000 global headers",
             lambda: [*many(lambda n: pax(("comment", n), kind="g"), 100_000), file("f"), END], tree=F),
        Case("5,000 global headers called by paths",
             lambda: [*many(lambda n: header(n + "/g", "g") + file("f", b""), 5000), file("f"), END],
             tree=F + "\n" + lines("#/ 755", 5000),
             reports="A25"),
        Case("a deep tree and its whiteout in turn", lambda: [file(deep + "f"), hides("x")] * 2000 + [END],
             base=(("d", "x", 0o700), ("f", "x/old", b"x")), tree=ways + deep + "f 644 'x'", reports="A21"),
        Case("a deep tree and a file of its name in turn", lambda: [file(deep + "f"), file("x")] * 6 + [END],
             tree="x 644 'x'", reports="A21"),
    ]


def cases(c):
    return bombs(c) + names(c) + entries(c) + memory(c) + attributes(c) + work(c)
