"""Differences that are known, and whose fault they are."""
import dataclasses
import re
import sys

from tree_compare import differences

from .session import Failed


@dataclasses.dataclass(frozen=True)
class Known:
    """A peer (all that begin so) differs in `what` at paths that match `path` (whole), for this reason. `rule` is the one
    of docs/semantics.md that decides."""
    peer: str
    what: str
    path: str
    rule: str
    reason: str
    # Of the difference found; where the attribute and the path don't say it all.
    only: object = lambda found: True

    def covers(self, peer, found):
        return (peer.startswith(self.peer) and re.fullmatch(self.what, found.what) and
                re.fullmatch(self.path, found.path, re.S) and self.only(found))


UMOCI_ROOTLESS = [
    Known("umoci --rootless", "owner|xattr user\\.rootlesscontainers", ".*", "A24",
          "umoci --rootless gives every file to its user, and notes the owner in an attribute",
          lambda found: found.right == (0, 0) if found.what == "owner" else found.left is None),
    Known("umoci --rootless", "extra", "dev/zero", "A19", "umoci --rootless leaves an empty file in place of a device",
          lambda found: found.right == "file"),
]


class Comparisons:
    """Compares with the merged view, prints what was found, and remembers whether anything was that isn't known."""

    def __init__(self, known):
        self.known = known
        self.failed = []

    def compare(self, image, peer, expected, actual):
        counts, unknown = {}, []
        for found in differences(expected, actual):
            cause = next((k for k in self.known if k.covers(peer, found)), None)
            if cause is None:
                unknown.append(str(found))
            else:
                counts[cause] = counts.get(cause, 0) + 1
        print(f"{image}, {peer}: {len(expected)} entries compared")
        for cause, count in counts.items():
            print(f"  {count} of {cause.what}: {cause.reason} ({cause.rule})")
        for line in unknown[:40]:
            print(f"  UNKNOWN: {line}")
        if unknown:
            self.failed.append(f"{len(unknown)} of {peer} with {image}")
        sys.stdout.flush()

    def finish(self):
        if self.failed:
            raise Failed("differences that no rule decides: " + ", ".join(self.failed))
