"""What a case of the corpus is, and the base that it meets: as a layer, and as a directory."""
import dataclasses
import os

import tar_bytes
from tar_bytes import TIME


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer, as bytes or as pieces of them, and what must become of it. `tree`: it is applied, and this comes out (see
    tree_text.py). `refused`: it isn't, and the one line that says so matches this expression."""
    name: str
    layer: object
    tree: str = None
    refused: str = None
    base: tuple = ()
    tar: object = None            # where the layer is compressed: the tar in it; `None`: the layer is the tar
    reports: str = None           # the rule that apply reports, besides
    refused_by_store: str = None  # where a store refuses what apply takes (A23)
    needs_rights: bool = False    # a store holds what its owner may not read: not for an ordinary user
    skip: str = None              # why it can't be tried here
    limits: tuple = ()            # of the budget: NAME=VALUE


@dataclasses.dataclass(frozen=True)
class Here:
    """What a case may depend on. `outside` is the absolute path of a directory with canaries, beside the root's parent."""
    outside: str
    secret: bytes
    makes_devices: bool
    owners: bool      # they are kept; else all files are the caller's
    reads_all: bool   # whatever the modes say
    own_tmpfs: bool   # of a bounded size, whose files can be as large as any

    @property
    def inside(self):
        """The name in the root that the absolute path has."""
        return self.outside.lstrip("/")

    def way(self, mode="755"):
        """Lines of a tree: the directories that lead to `inside`, and itself."""
        parts = self.inside.split("/")
        return "\n".join(f"{'/'.join(parts[:n + 1])}/ {mode}" for n in range(len(parts))) + "\n"


SHARED = b"shared"  # what is in the file outside that has a name in the root too

# The base that most cases meet, and its tree. What the first letters mean, base_layer() and plant() say.
BASE = (("d", "d", 0o700), ("f", "d/a", b"a"), ("f", "d/b", b"b"), ("d", "d/s", 0o755), ("f", "d/s/c", b"c"),
        ("f", "top", b"t"),
        ("l", "l", "d"))
D = "d/ 700\nd/a 644 'a'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\n"
TOP = "top 644 't'\n"
L = "l -> d\n"
BASE_TREE = D + TOP + L


def base_layer(base):
    made = {"d": tar_bytes.folder, "f": lambda name, content, mode=0o644: tar_bytes.file(name, content, mode=mode),
            "l": tar_bytes.soft, "h": tar_bytes.hard, "p": tar_bytes.fifo,
            "o": lambda name: tar_bytes.file(name, SHARED)}
    return tar_bytes.layer(tar_bytes.folder("."), *(made[kind](*rest) for kind, *rest in base))


def plant(base, root, outside):
    """The same without any tar."""
    os.chmod(root, 0o755)
    for kind, name, *rest in base:
        path = os.path.join(root, name)
        if kind == "d":
            os.mkdir(path)
            os.chmod(path, rest[0])
        elif kind == "f":
            with open(path, "wb") as made:
                made.write(rest[0])
            os.chmod(path, rest[1] if len(rest) > 1 else 0o644)
        elif kind == "l":
            os.symlink(rest[0], path)
        elif kind == "h":
            os.link(os.path.join(root, rest[0]), path, follow_symlinks=False)
        elif kind == "p":
            os.mkfifo(path)
            os.chmod(path, 0o644)
        elif kind == "o":
            os.link(os.path.join(outside, "shared"), path)
    for _, name, *_ in reversed(base):
        os.utime(os.path.join(root, name), ns=(TIME * 10 ** 9,) * 2, follow_symlinks=False)
    os.utime(root, ns=(TIME * 10 ** 9,) * 2)
