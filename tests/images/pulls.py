#!/usr/bin/env python3
"""Pulls of whole images into a store, over a network that breaks and lies, by many at once, and by processes that are killed:
the store is right, each byte crosses the network once, and what isn't right leaves nothing.

  pulls.py LAYERCTL [CASE...]

Needs docker-registry, and a mount namespace; exits 77 without.
"""
import collections
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "interop"))

from broken_network import PASSWORD, SECRETS, USER, Network, always, basic_login, is_blob, is_manifest  # noqa: E402
from broken_network import nothing_wrong, once, status_of  # noqa: E402
from layerctl_client import Cli, make_layer  # noqa: E402
from peers import session  # noqa: E402
from peers.oci_layout import make_layout  # noqa: E402
from registries import Registry  # noqa: E402

IMAGES = {"one": "ab", "two": "abc", "three": "abd"}  # by their layers
SIZES = {"a": 300_000, "b": 2_000_000, "c": 700_000, "d": 50_000}


class Scene:
    """A registry with images that share layers, and the network before it."""

    def __init__(self, program, place, registry, rule=nothing_wrong):
        self.place, self.registry = place, registry
        self.cli = Cli(program, place)
        chance = random.Random(1)
        layers = {name: make_layer(place / f"{name}.tar.gz", {f"{name}/file": chance.randbytes(size), f"{name}/small": b"x" * 100})
                  for name, size in SIZES.items()}
        self.layouts = {name: make_layout(place / name, [layers[layer] for layer in wanted]) for name, wanted in IMAGES.items()}
        for name in IMAGES:
            self.cli("copy", f"oci:{place / name}:latest", f"docker://{registry.name}/{name}:1", "--dest-plain-http")
        self.network = Network(registry, rule)

    def pull(self, name, *options, **more):
        return self.cli("pull", "--plain-http", *options, f"{self.network.name}/{name}:1", **more)

    def digests(self, names):
        """The configs and layers of images."""
        manifests = [self.layouts[name].manifest() for name in names]
        return {part["digest"]: part["size"] for m in manifests for part in [m["config"], *m["layers"]]}

    def sent(self):
        """Bytes of blobs that crossed the network, by digest."""
        sent = collections.Counter()
        for path, size in self.network.sent.items():
            if "/blobs/" in path:
                sent[path.rpartition("/")[2]] += size
        return sent

    def forget(self):
        self.network.sent.clear()
        self.network.asked.clear()

    def require_whole(self, names):
        """These images are in the store and nothing else, each of its layers whole; the manifests are the registry's."""
        images = {image["digest"] for image in self.cli.json("images")}
        tops = {json.loads((self.layouts[n].path / "index.json").read_text())["manifests"][0]["digest"] for n in names}
        assert images == tops, (images, tops)
        self.cli("verify")
        self.require_no_remains()

    def require_no_remains(self):
        for room in ("staging", "downloads"):
            path = self.cli.store / room
            assert not path.exists() or not os.listdir(path), f"{room}: {os.listdir(path)}"


def slowly(piece, pause):
    """Gives blobs in pieces of so many bytes, so many seconds apart."""
    def rule(handler, answer):
        if not is_blob(handler):
            return True
        handler.start(answer)
        for at in range(0, len(answer.body), piece):
            handler.write(answer.body[at:at + piece])
            time.sleep(pause)
        return False
    return rule


def cuts(s):
    """At random bytes: each byte of a blob crosses once."""
    chance = random.Random(2)

    def cut(handler, answer):
        handler.cut(answer, chance.randrange(len(answer.body)) if answer.body else 0)
        return False
    s.network.rule = once(cut, lambda handler: chance.random() < 0.5, 12)
    s.pull("two", "--retries", "8")
    assert s.sent() == s.digests(["two"]), (s.sent(), s.digests(["two"]))
    s.require_whole(["two"])


def lies(s):
    """One clear error, no image, nothing that isn't whole; and then the right one."""
    layer = s.layouts["two"].manifest()["layers"][1]["digest"]
    config = s.layouts["two"].manifest()["config"]["digest"]

    def of(digest):
        return lambda handler: is_blob(handler) and handler.path.endswith(digest)

    def other_bytes(handler, answer):
        answer.body = bytes([answer.body[0] ^ 1]) + answer.body[1:]

    def shorter(handler, answer):
        answer.body = answer.body[:-1000]

    def longer(handler, answer):
        answer.body += b"more"

    def body(text):
        def rule(handler, answer):
            answer.body = text
        return rule

    def endless(handler, answer):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while True:  # until whoever reads has had enough
            handler.wfile.write(b"100000\r\n" + bytes(1 << 20) + b"\r\n")

    rules = {
        "a layer of other bytes": always(other_bytes, of(layer)), "a shorter layer": always(shorter, of(layer)),
        "a longer layer": always(longer, of(layer)), "an endless layer": always(endless, of(layer)),
        "a config of other bytes": always(other_bytes, of(config)), "an endless config": always(endless, of(config)),
        "an endless manifest": always(endless, is_manifest), "a manifest cut short": always(body(b'{"schemaVersion": 2,'), is_manifest),
        "a manifest of 100 MB": always(body(b" " * 100_000_000), is_manifest),
        "a deep manifest": always(body(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), is_manifest),
        "no manifest": always(status_of(404), is_manifest), "no layer": always(status_of(404), of(layer)),
        "not allowed": always(status_of(403), of(layer)), "a server that fails": always(status_of(500), of(layer)),
        "too many requests": always(status_of(429, Retry_After="0"), of(layer)),
    }
    for name, rule in rules.items():
        s.network.rule = basic_login(rule)
        s.pull("two", "--quiet", "--retries", "1", "--creds", f"{USER}:{PASSWORD}", expect=1)
        said = s.cli.err.strip()
        assert not any(secret in said for secret in SECRETS), said
        assert s.cli.json("images") == [] and s.cli.json("tags") == [], name
        s.cli("verify")  # layers that were complete are
        assert os.listdir(s.cli.store / "staging") == [], name
        print(f"  {name}: {said}")
        shutil.rmtree(s.cli.store)  # a config that came is there, and isn't asked for again
    s.network.rule = basic_login(nothing_wrong)
    s.pull("two", "--creds", f"{USER}:{PASSWORD}")
    s.require_whole(["two"])


def crowd(s):
    """Twelve processes, three images that share layers: each blob crosses the network once."""
    s.network.rule = slowly(50_000, 0.01)
    names = [f"{s.network.name}/{name}:1" for name in IMAGES]
    pulls = [s.cli.start("pull", "--plain-http", names[number % 3]) for number in range(12)]
    for process in pulls:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    assert s.sent() == s.digests(IMAGES), (s.sent(), s.digests(IMAGES))
    s.require_whole(IMAGES)


def killed(s):
    """At any moment: what was on the disk isn't sent again, and nothing is left in the end."""
    s.network.rule = slowly(10_000, 0.005)
    chance = random.Random(3)
    kills = 0
    while True:
        process = s.cli.start("pull", "--plain-http", f"{s.network.name}/two:1")
        time.sleep(chance.uniform(0.05, 0.35))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == 0:
            break
        kills += 1
        assert kills < 200, "it comes no further"
    # Of each transfer that was killed, what was in a socket or in memory is lost.
    lost, size = sum(s.sent().values()) - sum(s.digests(["two"]).values()), sum(s.digests(["two"]).values())
    print(f"  {kills} kills; {lost} bytes more than the {size} of the image were sent")
    assert kills > 2 and lost < kills * (1 << 20), (kills, lost)
    s.cli("gc", "--min-age", "0s")
    s.require_whole(["two"])


def interrupted(s):
    """Ctrl-C at any moment ends it soon, leaves no draft, and the next goes on."""
    s.network.rule = slowly(10_000, 0.01)
    chance, latest = random.Random(4), 0
    for _ in range(8):
        process = s.cli.start("pull", "--plain-http", f"{s.network.name}/two:1")
        time.sleep(chance.uniform(0.1, 0.5))
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        _, err = process.communicate()
        latest = max(latest, time.monotonic() - start)
        if process.returncode == 0:
            break
        assert process.returncode == 1 and err.count("\n") == 1 and re.search("cancelled|canceled|interrupted", err), err
        assert os.listdir(s.cli.store / "staging") == []
    print(f"  the latest ended after {latest * 1000:.0f} ms")
    assert latest < 5, latest
    s.pull("two")
    s.require_whole(["two"])


CASES = [cuts, lies, crowd, killed, interrupted]


def check(own, only):
    for case in CASES:
        if only and case.__name__ not in only:
            continue
        with own.directory("case") as place, Registry(place) as registry:
            start = time.monotonic()
            scene = Scene(own.layerctl, place, registry)
            try:
                with scene.network:
                    case(scene)
            except AssertionError as failure:
                raise session.Failed(f"{case.__name__}: {failure}") from failure
            print(f"{case.__name__}: as it should be ({time.monotonic() - start:.1f} s)", flush=True)


session.main(__doc__, ["docker-registry"], check)
