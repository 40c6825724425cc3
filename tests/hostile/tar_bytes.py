"""Tars by the byte: as archivers write them, and as none would. Every field can be any number, or bytes as they are."""
import base64
import gzip
import os
import struct
import zlib

BLOCK = 512
TIME = 1000  # of every entry that doesn't say otherwise
END = bytes(2 * BLOCK)
USTAR, GNU, V7 = b"ustar\0" + b"00", b"ustar  \0", bytes(8)


def text(value):
    return os.fsencode(value) if isinstance(value, str) else value


def base256(value, size):
    field = bytearray(value.to_bytes(size, "big", signed=True))
    field[0] |= 0x80
    return bytes(field)


def number(value, size):
    """A header's number: octal where it fits, else base 256; bytes are taken as they are."""
    if isinstance(value, bytes):
        return value.ljust(size, b"\0")
    digits = b"%o" % value if value >= 0 else b""
    return digits.rjust(size - 1, b"0") + b"\0" if 0 < len(digits) < size else base256(value, size)


def header(name, kind=b"0", *, mode=0o644, uid=0, gid=0, size=0, mtime=TIME, link=b"", magic=USTAR, device=(0, 0),
           prefix=b"",
           checksum=None):
    block = bytearray(BLOCK)
    for offset, width, value in (
            (0, 100, text(name)), (100, 8, number(mode, 8)), (108, 8, number(uid, 8)), (116, 8, number(gid, 8)),
            (124, 12, number(size, 12)), (136, 12, number(mtime, 12)), (156, 1, text(kind)), (157, 100, text(link)),
            (257, 8, magic), (329, 8, number(device[0], 8)), (337, 8, number(device[1], 8)), (345, 155, text(prefix))):
        block[offset:offset + width] = value[:width].ljust(width, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block) if checksum is None else checksum(block)
    return bytes(block)


def padded(content):
    return content + bytes(-len(content) % BLOCK)


def record(key, value):
    """A PAX record, whose length counts itself."""
    rest = b" " + text(key) + b"=" + text(value) + b"\n"
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return b"%d" % length + rest


def pax(*records, kind=b"x", **fields):
    """An extension header of (key, value) pairs, or of bytes as they are."""
    payload = b"".join(r if isinstance(r, bytes) else record(*r) for r in records)
    return header("pax", kind, **{"size": len(payload), **fields}) + padded(payload)


def gnu_long(kind, value):
    value = text(value) + b"\0"
    return header("././@LongLink", kind, size=len(value), magic=GNU) + padded(value)


def entry(name, kind=b"0", content=b"", *, records=(), link=b"", **fields):
    """With a PAX header before it where its names need one, or `records` are given."""
    extension = list(records)
    name, link = text(name), text(link)
    if len(name) > 100:
        extension.append(("path", name))
    if len(link) > 100:
        extension.append(("linkpath", link))
    before = pax(*extension) if extension else b""
    return before + header(name, kind, link=link, **{"size": len(content), **fields}) + padded(content)


def file(name, content=b"x", **fields):
    return entry(name, b"0", content, **fields)


def folder(name, mode=0o755, **fields):
    return entry(text(name) + b"/", b"5", mode=mode, **fields)


def soft(name, target, **fields):
    return entry(name, b"2", link=target, mode=0o777, **fields)


def hard(name, target, **fields):
    return entry(name, b"1", link=target, **fields)


def fifo(name, **fields):
    return entry(name, b"6", **fields)


def device(name, kind, major, minor, **fields):
    return entry(name, kind, device=(major, minor), **fields)


def hides(name, **fields):
    """A whiteout of `name`; an opaque directory is hides_all()."""
    parent, slash, last = text(name).rpartition(b"/")
    return entry(parent + slash + b".wh." + last, **fields)


def hides_all(directory="", **fields):
    return entry(text(directory) + (b"/" if directory else b"") + b".wh..wh..opq", **fields)


def layer(*entries):
    return b"".join(entries) + END


def old_sparse(name, extents, real_size, content, more=b"", **fields):
    """GNU's first form: four extents in the header; `more` are extension blocks."""
    block = bytearray(header(name, b"S", size=len(content), magic=GNU, **fields))
    for index, (offset, size) in enumerate(extents[:4]):
        block[386 + 24 * index:410 + 24 * index] = number(offset, 12) + number(size, 12)
    block[482] = 1 if more else 0
    block[483:495] = number(real_size, 12)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + more + padded(content)


def many(make, count):
    """So many entries that differ by the seven digits which the name that `make` is given becomes. They are made by
    numbering one, since making each takes ten times as long."""
    block = bytearray(make("#" * 7))
    places = [at for at in range(len(block)) if block.startswith(b"#" * 7, at)]
    heads = []  # and the sum of each without the digits, and how often these are in it
    for at in (at for at in range(0, len(block), BLOCK) if block[at + 257:at + 262] == b"ustar"):
        block[at + 148:at + 156] = b" " * 8
        inside = sum(at <= place < at + BLOCK for place in places)
        heads.append((at, sum(block[at:at + BLOCK]) - inside * sum(b"#" * 7), inside))
    for index in range(count):
        digits = b"%07d" % index
        for at in places:
            block[at:at + 7] = digits
        for at, rest, inside in heads:
            block[at + 148:at + 156] = b"%06o\0 " % (rest + inside * sum(digits))
        yield bytes(block)


def sparse(name, extents, real_size, content, count=None, records=()):
    """PAX sparse 1.0: the map is text before the content."""
    numbers = [len(extents) if count is None else count, *(n for extent in extents for n in extent)]
    head = padded(b"".join((n if isinstance(n, bytes) else b"%d" % n) + b"\n" for n in numbers))
    return entry("GNUSparseFile.0/x", b"0", head + content, records=[
        ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", name),
        ("GNU.sparse.realsize", str(real_size)), *records])


def xattr(name, value):
    return (b"SCHILY.xattr." + text(name), value)


def libarchive_xattr(name, value):
    return (b"LIBARCHIVE.xattr." + text(name), base64.b64encode(text(value)).rstrip(b"="))


# Compressed streams. gzip members are the same bytes every time; zstd frames are made of raw and run-length blocks, which
# need no encoder.

def gzipped(data):
    return gzip.compress(data, mtime=0)


def gzip_header(flags=0, extra=b"", method=8):
    return b"\x1f\x8b" + bytes([method, flags]) + bytes(6) + extra


def gzip_member(data, flags=0, extra=b"", crc=None, size=None):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = deflate.compress(data) + deflate.flush()
    return gzip_header(flags, extra) + body + struct.pack("<II", zlib.crc32(data) if crc is None else crc,
                                                         len(data) if size is None else size)


def gzip_of_zeros(before, megabytes, after):
    """A gzip member of `before`, so many MiB of zeros, and `after`, piece by piece."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    crc, size, zeros = zlib.crc32(before), len(before), bytes(1 << 20)
    yield gzip_header() + deflate.compress(before)
    for _ in range(megabytes):
        crc, size = zlib.crc32(zeros, crc), size + len(zeros)
        yield deflate.compress(zeros)
    crc, size = zlib.crc32(after, crc), size + len(after)
    yield deflate.compress(after) + deflate.flush() + struct.pack("<II", crc, size & 0xffffffff)


ZSTD = b"\x28\xb5\x2f\xfd"
RAW, REPEAT, RESERVED = 0, 1, 3


def zstd_block(kind, data, size, last=False):
    return struct.pack("<I", int(last) | kind << 1 | size << 3)[:3] + data


def zstd_frame(*blocks, descriptor=0, window=b"\x38"):
    """Blocks are bytes (raw, of at most 128 KiB) or (byte, how often). The window is 128 KiB unless told."""
    body = b""
    for index, block in enumerate(blocks):
        last = index == len(blocks) - 1
        body += zstd_block(RAW, block, len(block), last) if isinstance(block, bytes) else zstd_block(REPEAT, *block,
                                                                                                     last)
    return ZSTD + bytes([descriptor]) + window + body


def zstd_skippable(data):
    return b"\x50\x2a\x4d\x18" + struct.pack("<I", len(data)) + data
