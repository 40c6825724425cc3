"""layerctl on a store of its own, for scripts that drive it."""
import io
import json
import subprocess
import tarfile

from peers import session

USER, PASSWORD = "someone", "correct-horse-battery"


def make_layer(path, files, mode="w:gz"):
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o755
            tar.addfile(entry, io.BytesIO(content))
    return path


class Cli:
    """layerctl on a store: what it prints; and of a failure, that exactly one line tells."""

    def __init__(self, program, place):
        self.program, self.place, self.store = program, place, place / "store"

    def start(self, *arguments, **options):
        return subprocess.Popen([self.program, "--root", self.store, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.place, env=session.ENVIRONMENT,
                                **options)

    def __call__(self, *arguments, expect=0):
        process = self.start(*arguments)
        out, self.err = process.communicate(timeout=120)
        said = f"{' '.join(map(str, arguments))}: exit {process.returncode}: {out}{self.err}"
        assert process.returncode == expect, said
        assert PASSWORD not in out + self.err, f"a secret is told: {said}"
        if expect:
            assert self.err.count("\n") == 1 and self.err.startswith("layerctl: "), f"not one line: {said}"
        return out.strip()

    def json(self, *arguments):
        return json.loads(self("--json", *arguments))

    def refused(self, *arguments, says=""):
        """Exit 1, and no image and no layer more."""
        before = self.contents()
        self(*arguments, expect=1)
        assert says in self.err, f"{says!r} isn't said: {self.err}"
        assert self.contents() == before, f"the store changed: {arguments}"

    def contents(self):
        if not self.store.exists():
            return None
        return {kind: sorted(str(p) for p in (self.store / kind).rglob("*") if (self.store / kind).exists())
                for kind in ("layers", "trees", "images", "tags", "blobs")}
