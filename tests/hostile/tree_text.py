"""A tree as text, a line for each path, sorted:

    d/ 700                    a directory of mode 0700
    d/f 644 'hello'           a file; of a large one its size, and what of it isn't zeros: 1048576 bytes, 4096:'x'
    l -> d                    a symlink
    p 644 fifo                a FIFO; devices: "char 1:3", "block 8:0"
    d/g 644 'hello' = d/f     one file with d/f
    f 644 'x' @5+500000000ns 1:2 user.n='v'   time, owner, attributes

The time is left out where it is TIME, the owner where it is root (or, where owners are squashed, whoever it is), and
the root where it is as every base has it. A whiteout that shows is "listed, but isn't there". Bytes of names that are
not printable, spaces and backslashes are \\xNN. Paths may be longer than any call takes: nothing here is opened but by
its name in the directory before.
"""
import os
import re
import stat

from tar_bytes import TIME

LONGEST = 40  # content shown whole
SHOWN = 16    # bytes of a run of a larger file


def shown_name(name):
    return re.sub(rb"[^!-\[\]-~]", lambda match: b"\\x%02x" % match[0][0], name).decode()


def shown_bytes(data):
    return "'" + re.sub(rb"[^ -&(-\[\]-~]", lambda match: b"\\x%02x" % match[0][0], data).decode() + "'"


def data_pieces(fd, size):
    """(offset, bytes) of what isn't a hole."""
    at = 0
    while at < size:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(fd, at, os.SEEK_HOLE)
        while at < end:
            piece = os.pread(fd, min(1 << 20, end - at), at)
            if not piece:
                return
            yield at, piece
            at += len(piece)


def shown_content(fd, size):
    if size <= LONGEST:
        return shown_bytes(os.pread(fd, size, 0))
    runs = []
    for at, piece in data_pieces(fd, size):
        for match in re.finditer(rb"[^\0]+(?:\0{1,15}[^\0]+)*", piece):
            start = at + match.start()
            if runs and runs[-1][0] + runs[-1][2] == start:  # goes on from the piece before
                runs[-1][2] += len(match[0])
            else:
                runs.append([start, match[0][:SHOWN], len(match[0])])
    parts = [f"{start}:{shown_bytes(head)}{'…' if length > SHOWN else ''}" for start, head, length in runs[:4]]
    return ", ".join([f"{size} bytes", *parts]) + (f", {len(runs)} runs" if len(runs) > 4 else "")


def shown_time(nanoseconds):
    seconds, rest = divmod(nanoseconds, 10 ** 9)
    return f"{seconds}" + (f"+{rest:09}ns" if rest else "")


class TreeText:
    """`owners`: whether they are told. `seen(path, fd, status)` is called for each file."""

    def __init__(self, owners=True, seen=None):
        self.owners = owners
        self.seen = seen
        self.lines = []
        self.first_names = {}

    @staticmethod
    def open(name, flags, directory):
        try:
            return os.open(name, flags | os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)
        except PermissionError:  # an ordinary user looks into what is his
            os.chmod(name, 0o700, dir_fd=directory)
            return os.open(name, flags | os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)

    def attributes(self, fd, name=None):
        path = f"/proc/self/fd/{fd}" + (f"/{os.fsdecode(name)}" if name is not None else "")
        try:
            names = os.listxattr(path, follow_symlinks=name is None)
        except OSError:
            return []
        return [f"{n}={shown_bytes(os.getxattr(path, n, follow_symlinks=name is None))}"
                for n in sorted(names) if n != "security.selinux"]

    def add(self, path, status, what, attributes):
        words = [shown_name(path), what]
        if status.st_mtime_ns != TIME * 10 ** 9:
            words.append("@" + shown_time(status.st_mtime_ns))
        if self.owners and (status.st_uid, status.st_gid) != (0, 0):
            words.append(f"{status.st_uid}:{status.st_gid}")
        words += attributes
        if not stat.S_ISDIR(status.st_mode):
            first = self.first_names.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                words += ["=", shown_name(first)]
        self.lines.append(" ".join(words))

    def visit(self, directory, prefix):
        for name in sorted(os.fsencode(n) for n in os.listdir(directory)):
            path = prefix + name
            try:
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                self.lines.append(f"{shown_name(path)} is listed, but isn't there")
                continue
            mode, kind = f"{stat.S_IMODE(status.st_mode):o}", stat.S_IFMT(status.st_mode)
            if kind == stat.S_IFDIR:
                self.visit_directory(directory, name, path + b"/", mode)
            elif kind == stat.S_IFREG:
                fd = self.open(name, os.O_NONBLOCK, directory)
                try:
                    if self.seen is not None:
                        self.seen(path, fd, status)
                    self.add(path, status, f"{mode} {shown_content(fd, status.st_size)}", self.attributes(fd))
                finally:
                    os.close(fd)
            elif kind == stat.S_IFLNK:
                target = os.fsencode(os.readlink(name, dir_fd=directory))
                self.add(path, status, f"-> {shown_name(target)}", self.attributes(directory, name))
            else:
                number = f" {os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
                what = {stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket", stat.S_IFCHR: "char" + number,
                        stat.S_IFBLK: "block" + number}
                self.add(path, status, f"{mode} {what[kind]}", self.attributes(directory, name))

    def visit_directory(self, parent, name, path, mode):
        fd = self.open(name, os.O_DIRECTORY, parent)
        try:
            self.add(path, os.fstat(fd), mode, self.attributes(fd))
            self.visit(fd, path)
        finally:
            os.close(fd)


def tree_text(root, owners=True, seen=None):
    text = TreeText(owners, seen)
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        status = os.fstat(fd)
        text.add(b"./", status, f"{stat.S_IMODE(status.st_mode):o}", text.attributes(fd))
        text.visit(fd, b"")
    finally:
        os.close(fd)
    return sorted(line for line in text.lines if line != "./ 755")


def sorted_tree(tree):
    """The lines of an expectation, in the order of tree_text()."""
    return sorted(line.strip() for line in tree.strip().splitlines() if line.strip())
