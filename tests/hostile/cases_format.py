"""Bytes that break the format, bend it, or stop too early."""
from case import BASE, BASE_TREE, Case
from tar_bytes import (BLOCK, END, GNU, V7, base256, entry, file, gnu_long, gzip_header, gzip_member, gzipped, hard,
                       header, layer, number, old_sparse, padded, pax, record, sparse, zstd_block, zstd_frame,
                       zstd_skippable, RESERVED, ZSTD)

CUT_SHORT = "may be cut short"
F = "f 644 'x'"


def truncated(c):
    long = b"long " * 200
    whole = pax(("comment", "c" * 700)) + file("f", long) + END
    content = 3 * BLOCK + BLOCK  # where the content of f begins: two headers, 700 bytes of records
    end = content + 2 * BLOCK
    taken = "f 644 1000 bytes, 0:'long long long l'…"

    def cut(what, at, **verdict):
        return Case(f"cut {what}", whole[:at], base=BASE, **verdict)

    def ends(what, at):
        return cut(what, at, tree=BASE_TREE + taken, reports="tar", refused_by_store=CUT_SHORT)

    packed, framed = gzipped(whole), zstd_frame(whole)
    return [
        cut("before the first byte", 0, refused="it is empty"),
        cut("after one byte", 1, refused="middle of a header|neither a tar"),
        cut("in the header of an extension", 511, refused="middle of a header|neither a tar"),
        cut("after the header of an extension", 512, refused="middle of an extension header"),
        cut("in an extension", 1000, refused="middle of an extension header"),
        cut("after an extension", 3 * BLOCK, tree=BASE_TREE, reports="tar", refused_by_store=CUT_SHORT),
        cut("in a header", 3 * BLOCK + 300, refused="middle of a header"),
        cut("before content", content, refused="middle of its content"),
        cut("in content", content + 999, refused="middle of its content"),
        ends("in the padding", content + 1001),
        ends("before the end marker", end),
        cut("in the first half of the end marker", end + 100, refused="middle of a header"),
        ends("after half of the end marker", end + BLOCK),
        cut("in the second half of the end marker", end + BLOCK + 1, refused="middle of its end marker"),
        Case("a gzip stream cut in its header", packed[:6], refused="gzip stream|neither a tar"),
        Case("a gzip stream cut in its data", packed[:len(packed) // 2],
             refused=r"gzip stream: .*it ends in the middle"),
        Case("a gzip stream cut in its checksum", packed[:-5], refused=r"gzip stream: .*it ends in the middle"),
        Case("a zstd stream cut in its header", framed[:5], refused=r"zstd stream: .*it ends"),
        Case("a zstd stream cut in a block", framed[:1500], refused=r"zstd stream: .*it ends in the middle"),
        Case("a compressed stream without the tar's end marker", gzipped(file("f")), tar=file("f"), tree=F,
             reports="tar"),
    ]


def ends(c):
    return [
        Case("nothing but the end marker", END, base=BASE, tree=BASE_TREE),
        Case("an archive after the end of another", layer(file("f")) + layer(file("../evil")), tree=F, reports="tar"),
        Case("two end markers", layer(file("f")) + END, tree=F),
        Case("garbage after the end", layer(file("f")) + b"\xffgarbage" * 999, tree=F, reports="tar"),
        Case("a block of zeros before an entry", file("f") + bytes(BLOCK) + file("g") + END, refused="block of zeros"),
        Case("garbage after a gzip stream", gzipped(layer(file("f"))) + b"garbage", tar=layer(file("f")), tree=F,
             reports="gzip"),
        Case("an archive after the end of another, each a gzip member",
             gzipped(layer(file("f"))) + gzipped(layer(file("../evil"))),
             tar=layer(file("f")) + layer(file("../evil")), tree=F, reports="tar"),
        Case("a gzip stream in a gzip stream", gzipped(gzipped(layer(file("f")))), refused="checksum|header"),
        Case("text", b"This is no tar.\n" * 100, refused="neither a tar"),
        Case("a wrong checksum", header("f", checksum=lambda b: b"000001\0 ") + END,
             refused="checksum is wrong|neither a tar"),
        Case("a wrong checksum of the second entry", file("f") + header("g", checksum=lambda b: b"000001\0 ") + END,
             base=BASE,
             refused="checksum is wrong"),
        Case("no checksum", header("f", checksum=lambda b: b" " * 8) + END, refused="checksum is wrong|neither a tar"),
        Case("a checksum of signed bytes", header(b"\xe4", checksum=lambda b: b"%06o\0 " % (
            sum(x - 256 if x > 127 else x for x in b))) + END, tree="\\xe4 644 ''", reports="tar"),
    ]


def numbers(c):
    def size(what, value, refused):
        return Case(f"a size that is {what}", header("f", size=value) + bytes(2048), refused=refused)

    return [
        size("negative", -1, "size is negative"),
        size("-512", -512, "size is negative"),
        size("the least of 96 bits", b"\xff" + bytes(11), "size is"),
        size("negative in octal", b"-0000000001", "size is not a number"),
        size("2^62", 1 << 62, "tar_bytes"),
        size("2^63 - 1", (1 << 63) - 1, "size is|middle of its content"),
        size("2^64 - 1", b"\x80\0\0\0" + b"\xff" * 8, "size is not a number"),
        size("2^95 - 1", b"\x80" + b"\xff" * 11, "size is not a number"),
        size("no number", b"12x", "size is not a number"),
        size("of digits up to the end of the field", b"777777777777", "tar_bytes"),
        Case("a size by PAX that is larger", pax(("size", "600")) + header("f", size=1) + padded(b"y" * 600) + END,
             tree="f 644 600 bytes, 0:'" + "y" * 16 + "'…"),
        Case("a size by PAX that is smaller",
             pax(("size", "1")) + header("f", size=600) + padded(b"x") + file("g") + END,
             tree=F + "\ng 644 'x'"),
        Case("a size by PAX that is negative", pax(("size", "-1")) + file("f") + END, refused="size"),
        Case("a size by PAX that is beyond all", pax(("size", "9" * 30)) + file("f") + END, refused="size"),
        Case("a size by PAX with an exponent", pax(("size", "1e1")) + file("f") + END, refused="size"),
        Case("a size by PAX of 2^63 - 1", pax(("size", str((1 << 63) - 1))) + file("f") + END, refused="size|content"),
        Case("a directory with a size", header("n/", "5", mode=0o755, size=1024) + file("f") + END,
             tree="n/ 755\n" + F),
        Case("a symlink with a size", header("s", "2", link="t", size=1024) + file("f") + END, tree="s -> t\n" + F),
        Case("a time before 1970", layer(file("f", mtime=-1)), tree=F + " @-1"),
        Case("a time by PAX before 1970", layer(file("f", records=[("mtime", "-1.25")])), tree=F + " @-2+750000000ns"),
        Case("a time of the year 292277026596", layer(file("f", records=[("mtime", str((1 << 63) - 1))])),
             tree=F + f" @{(1 << 63) - 1}", skip=None if c.own_tmpfs else "the filesystem has an earlier last time"),
        Case("a time that is no number", layer(file("f", records=[("mtime", "nan")])), refused="not a time"),
        Case("a time with an exponent", layer(file("f", records=[("mtime", "1e400")])), refused="not a time"),
        Case("a time with a thousand digits", layer(file("f", records=[("mtime", "1." + "9" * 1000)])),
             tree=F + " @1+999999999ns"),
        Case("a time beyond 64 bits", layer(file("f", mtime=b"\x80\0\0\0" + b"\xff" * 8)), refused="not a number"),
        Case("a negative owner", layer(file("f", uid=-1)), refused="negative|not a number|-1|184467440737"),
        Case("a device number beyond 32 bits", layer(entry("n", "3", device=(base256(1 << 40, 8), 1))),
             refused="device number"),
        Case("a mode that is no number", layer(file("f", mode=b"rwxr-xr")), refused="mode"),
    ]


def records(c):
    def broken(what, payload, refused="PAX record"):
        return Case(f"a PAX record {what}", pax(payload) + file("f") + END, base=BASE, refused=refused)

    return [
        broken("of no length", b" path=x\n"),
        broken("that is longer than its header", b"999 path=x\n"),
        broken("of length 0", b"0 path=x\n"),
        broken("of length 2", b"2 path=x\n"),
        broken("of a negative length", b"-9 path=x\n"),
        broken("of a length beyond 64 bits", b"9" * 30 + b" path=x\n"),
        broken("without '='", b"8 path \n"),
        broken("without a newline", b"9 path=xx"),
        broken("without a keyword", b"5 =x\n"),
        broken("with a NUL in the path", record("path", b"a\0b"), "NUL"),
        broken("with a NUL in the target", record("linkpath", b"a\0b"), "NUL"),
        broken("with a NUL in its keyword", record(b"pa\0th", b"x")),
        Case("a NUL in a header's name", layer(file(b"f\0/../evil")), tree=F),
        Case("an empty PAX path", pax(("path", "")) + file("f") + END, tree=F),
        Case("a PAX header of 2 MiB", pax(("comment", "c" * (2 << 20))) + file("f") + END, refused="over the limit"),
        Case("a PAX header of 2^62 bytes", pax(size=1 << 62) + END, refused="over the limit"),
        Case("a PAX header of a negative size", pax(size=-1) + END, refused="size is negative"),
        Case("a GNU long name of 2^62 bytes", header("L", "L", size=1 << 62, magic=GNU) + END,
             refused="over the limit"),
        Case("a PAX header of 900 KB", pax(("comment", "c" * 900_000)) + file("f") + END, tree=F),
        Case("a PAX header of 40,000 records", pax(*((f"k{n}", "v") for n in range(40_000))) + file("f") + END, tree=F),
        Case("20,000 PAX headers before an entry",
             lambda: [pax(("path", "no"))] * 20_000 + [pax(("path", "f")), file("no"), END],
             tree=F),
        Case("20,000 long names before an entry",
             lambda: [gnu_long("L", "no")] * 20_000 + [gnu_long("L", "f"), file("no"), END],
             tree=F),
        Case("PAX headers without an end, in gzip", lambda: [gzipped(pax(("comment", "c" * 900_000)) * 100)],
             tar=lambda: [pax(("comment", "c" * 900_000))] * 100, tree="", reports="tar"),
        Case("global records without an end, in gzip",
             lambda: [gzipped(b"".join(pax((f"k{n}", "c" * 900_000), kind="g") for n in range(30)) + layer(file("f")))],
             refused="global PAX records are more"),
        Case("a global path and size", pax(("path", "../evil"), ("size", "999"), kind="g") + layer(file("f")), tree=F,
             reports="tar"),
        Case("a global time", pax(("mtime", "5"), kind="g") + layer(file("f"), file("g", records=[("mtime", "6")])),
             tree=F + " @5\ng 644 'x' @6"),
        Case("an unknown type", layer(file("f"), entry("z", "Z", b"z")), tree=F + "\nz 644 'z'", reports="tar"),
        Case("the rest of a file of another volume", layer(entry("m", "M", b"m")), refused="another volume"),
        Case("an old tar's directory", layer(header("n/", b"\0", mode=0o755, magic=V7)), tree="n/ 755"),
        Case("a list of renamed files", layer(entry("n", "N", b"Rename f to g\n")), refused="renamed"),
    ]


def sparse_files(c):
    table = b"".join(number(n, 12) for n in (0, 1)) * 21 + b"\1" + bytes(7)
    return [
        Case("a sparse file", layer(sparse("f", [(0, 1), (8192, 1)], 100_000, b"ab")),
             tree="f 644 100000 bytes, 0:'a', 8192:'b'"),
        Case("a sparse file of 1 TiB", layer(sparse("f", [(1 << 39, 1)], 1 << 40, b"a")),
             tree=f"f 644 {1 << 40} bytes, {1 << 39}:'a'"),
        Case("a sparse file of 2^62 bytes", layer(sparse("f", [(0, 1)], 1 << 62, b"a")),
             refused="apparent_bytes"),
        Case("a sparse file of 20,000 extents",
             layer(sparse("f", [(2 * n, 1) for n in range(20_000)], 40_000, b"a" * 20_000)),
             tree="f 644 40000 bytes, 0:'" + "a\\x00" * 8 + "'…"),
        Case("a sparse file of 2,000,000 extents, in gzip",
             lambda: [gzipped(entry("f", content=padded(b"2000000\n" + b"0\n" * 4_000_000), records=[
                 ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "5")]))],
             refused="extents"),
        Case("extents that overlap", layer(sparse("f", [(0, 5), (3, 5)], 100, b"a" * 10)), refused="overlap"),
        Case("extents that go backwards", layer(sparse("f", [(50, 5), (0, 5)], 100, b"a" * 10)), refused="backwards"),
        Case("an extent beyond the file", layer(sparse("f", [(90, 20)], 100, b"a" * 20)), refused="beyond the end"),
        Case("an extent beyond 63 bits", layer(sparse("f", [((1 << 63) - 1, 5)], 100, b"a" * 5)),
             refused="63 bits|number"),
        Case("a negative extent", layer(sparse("f", [(-1, 5)], 100, b"a" * 5)), refused="number"),
        Case("extents with less data than they say", layer(sparse("f", [(0, 9)], 100, b"a")), refused="bytes of data"),
        Case("a negative real size", layer(sparse("f", [(0, 1)], -1, b"a")), refused="realsize|size"),
        Case("a map that says it has 10^12 extents", layer(sparse("f", [(0, 1)], 100, b"a", count=10 ** 12)),
             refused="sparse map|extents"),
        Case("a map that is longer than the content", layer(entry("f", content=b"9\n", records=[
            ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "5")])),
             refused="sparse map"),
        Case("a map that is no text", layer(sparse("f", [(b"\xff", 1)], 100, b"a")), refused="number"),
        Case("a map of an unknown version", layer(entry("f", content=b"a", records=[
            ("GNU.sparse.major", "7"), ("GNU.sparse.minor", "3"), ("GNU.sparse.realsize", "5")])),
             refused="unknown version"),
        Case("an old sparse file whose map has no end", old_sparse("f", [(0, 1)] * 4, 100, b"", more=table * 50),
             refused="sparse map"),
        Case("an old sparse file with a negative extent", old_sparse("f", [(-5, 10)], 100, b"a" * 10) + END,
             refused="number"),
        Case("a sparse name that leaves the root", layer(sparse("../evil", [(0, 1)], 10, b"a")),
             refused="out of the root"),
    ]


def streams(c):
    good = layer(file("f"))
    return [
        Case("a gzip member with a wrong checksum", gzip_member(good, crc=1), refused="checksum of a member"),
        Case("a gzip member with a wrong length", gzip_member(good, size=1), refused="length of a member"),
        Case("a gzip member with flags that do not exist", gzip_member(good, flags=0xe0), refused="flags"),
        Case("a gzip member of an unknown method", gzip_header(method=7) + bytes(100),
             refused="gzip stream|neither a tar"),
        Case("a gzip member with a long name and comment",
             gzip_member(good, flags=0x18, extra=b"n" * 70_000 + b"\0" + b"c" * 70_000
                                                                       + b"\0"), tar=good, tree=F),
        Case("a gzip member whose name has no end", gzip_header(flags=8) + b"n" * (4 << 20),
             refused="ends in the middle"),
        Case("30,000 empty gzip members", gzip_member(b"") * 30_000 + gzipped(good), tar=good, tree=F),
        Case("a gzip member for every byte", b"".join(gzip_member(good[n:n + 1]) for n in range(len(good))), tar=good,
             tree=F),
        Case("a zstd frame", zstd_frame(good), tar=good, tree=F),
        Case("20,000 zstd frames to skip", zstd_skippable(b"skip") * 20_000 + zstd_frame(good), tar=good, tree=F),
        Case("a zstd frame to skip of 4 GiB", b"\x50\x2a\x4d\x18\xff\xff\xff\xff" + b"skip",
             refused=r"zstd stream: .*it ends"),
        Case("20,000 empty zstd frames", zstd_frame(b"") * 20_000 + zstd_frame(good), tar=good, tree=F),
        Case("a zstd frame that needs a window of 2^41 bytes", zstd_frame(good, window=b"\xff"),
             refused="window of more than"),
        Case("a zstd frame that asks for a window of 128 MiB", zstd_frame(good, window=b"\x88"), tar=good, tree=F),
        Case("a zstd frame that needs a dictionary", zstd_frame(good, descriptor=1, window=b"\x38\x07"),
             refused="dictionary"),
        Case("a zstd frame with a block of the reserved kind", ZSTD + b"\0\x38" + zstd_block(RESERVED, b"x", 1, True),
             refused="damaged"),
        Case("a zstd frame with a wrong checksum", zstd_frame(good, descriptor=4) + b"evil",
             refused="checksum of a frame"),
        Case("a zstd frame that says another size",
             ZSTD + b"\x80\x38" + b"\1\0\0\0" + zstd_block(0, good, len(good), True),
             refused="zstd stream"),
    ]


def cases(c):
    return truncated(c) + ends(c) + numbers(c) + records(c) + sparse_files(c) + streams(c)
