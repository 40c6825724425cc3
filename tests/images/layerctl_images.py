#!/usr/bin/env python3
"""layerctl's commands on images: what they print, wrong arguments, hostile files, a registry with a password, a slow one.

  layerctl_images.py LAYERCTL

Everything but the registry's part works without a network. Needs docker-registry, and a mount namespace; exits 77 without.
"""
import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import sys
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "interop"))

from layerctl_client import PASSWORD, USER, Cli, make_layer  # noqa: E402
from peers import session  # noqa: E402
from peers.oci_layout import Layout, make_layout  # noqa: E402
from registries import Registry, Server, htpasswd  # noqa: E402


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def top_of(layout):
    return json.loads((layout.path / "index.json").read_text())["manifests"][0]["digest"]


class Scene:
    def __init__(self, program, place):
        self.place = place
        self.cli = Cli(program, place)
        self.layout = make_layout(place / "layout", [
            make_layer(place / "base.tar.gz", {"etc/conf": b"base\n", "bin/tool": b"#!/bin/sh\n"}),
            make_layer(place / "top.tar.gz", {"etc/.wh.conf": b"", "srv/data": os.urandom(100000)})])
        self.digest = top_of(self.layout)


def usage(s):
    for arguments in (["pull"], ["pull", "a", "b", "--tag", "x"], ["pull", "a", "--policy", "sometimes"], ["pull", "a", "--platform", "///"],
                      ["pull", "a", "--transfers", "0"], ["pull", "a", "--creds", "x:y", "--creds-file", "f"], ["push"],
                      ["push", "a", "b", "--compress", "lzma"], ["push", "a", "b", "--chunk", "12Q"], ["load"], ["save", "a"],
                      ["save", "a", "b"], ["save", "a", "docker://b"], ["copy", "oci:a"], ["images", "x"], ["show-image"],
                      ["show-image", "a", "--manifest", "--config"], ["remove-image"], ["run-root", "a"], ["prune", "--min-age"],
                      ["run-root", "a", "b", "--backend", "tape"], ["commit", "c", "--change", "CMD x"],
                      ["commit", "c", "--name", "i", "--change", "FROM x"], ["commit", "c", "--name", "i", "--change", "ENV"],
                      ["commit", "c", "--name", "i", "--change", "EXPOSE 80/icmp"], ["commit", "c", "--name", "i", "--tag", "t"],
                      ["images", "--cache-limit", "12x"], ["pull", "a", "--max-bytes", "12x"], ["verify-image", "--quick", "--prove"],
                      ["repair-image"], ["repair-image", "a", "--from"]):
        s.cli(*arguments, expect=2)
    for arguments in (["images"], ["show-image", "a"], ["remove-image", "a"], ["push", "a", "b"], ["save", "a", "oci:b"], ["prune"],
                      ["verify-image"], ["verify-image", "a"], ["repair-image", "a"], ["repair-image", "a", "--from", "oci:b"],
                      ["load", "nothing"], ["load", "oci:nothing"], ["load", "docker-archive:nothing"]):
        s.cli(*arguments, expect=1)
    assert not s.cli.store.exists(), "a store was made by what can't have made anything"


def load_and_save(s):
    """Whatever an image is loaded from, by looking at it, and saved to: digests stay where the form has them."""
    cli = s.cli
    assert cli("load", "layout", "--tag", "app:1") == s.digest
    assert cli("save", "app:1", "oci:saved:latest") == s.digest
    for blob in (s.layout.path / "blobs/sha256").iterdir():
        assert (s.place / "saved/blobs/sha256" / blob.name).read_bytes() == blob.read_bytes(), blob
    assert cli("save", "app:1", "oci-archive:app.oci.tar:app") == s.digest
    assert cli("load", "app.oci.tar", "--tag", "again") == s.digest
    cli("save", "app:1", "docker-archive:app.tar:app:1")  # which has no manifest, and plain layers
    cli("load", "app.tar", "--tag", "from-docker")
    images = {name: image for image in cli.json("images") for name in image["names"]}
    assert images["again"]["digest"] == images["app:1"]["digest"] == s.digest, images
    assert images["from-docker"]["layer"] == images["app:1"]["layer"]
    assert cli("copy", "oci:saved:latest", "oci-archive:copied.tar") == s.digest
    assert cli("copy", "oci-archive:copied.tar", "oci:twice") == s.digest
    assert cli.json("copy", f"strata:{cli.store}:app:1", "oci:thrice:x")["digest"] == s.digest
    cli.refused("save", "nothing", "oci:nowhere", says="nothing")
    assert not (s.place / "nowhere").exists()


def show_and_name(s):
    cli = s.cli
    cli("load", "oci:layout:latest", "--tag", "app:1")
    assert cli("show-image", "app:1", "--manifest") == s.layout.blob(s.digest).read_text().strip()
    shown = json.loads(cli("show-image", s.digest[7:19]))
    assert shown["digest"] == s.digest and shown["manifest"] == s.layout.manifest() and shown["config"]["os"] == "linux"
    assert cli("show-image", "app:1", "--config") == s.layout.blob(shown["config_digest"]).read_text().strip()
    table = cli("images", "--digests").splitlines()
    assert table[0].split()[:2] == ["NAME", "IMAGE"] and any(s.digest in row for row in table), table
    cli("tag", "app:1", "other:2")
    assert cli.json("tag", "other:2", "third")["image"] == s.digest
    assert cli("remove-image", "other:2") == "untagged other:2"
    cli("untag", "third")
    # A layer's own tag, of which a reference would make the image's name, is none of its names.
    cli("tag", "app:1", "docker.io/library/x:latest")
    cli("tag", cli.json("images")[0]["layer"], "x")
    assert "x" not in cli.json("show-image", "docker.io/library/x:latest")["names"]
    cli("untag", "app:1")
    assert cli("remove-image", "docker.io/library/x:latest") == f"removed {s.digest}"
    assert [tag["tag"] for tag in cli.json("tags")] == ["x"]
    cli("untag", "x")
    cli("load", "oci:layout:latest", "--tag", "app:1")
    assert cli("list") and cli.json("images")[0]["names"] == ["app:1"]
    cli("mount", "app:1", "c")  # a name of an image stands where a layer is asked for
    cli.refused("remove-image", "app:1", says="'c'")
    cli("umount", "c")
    cli("remove-container", "c")
    removed = cli.json("remove-image", "app:1")
    assert removed["image"] == s.digest and len(removed["layers"]) == 2, removed
    cli.refused("show-image", "app:1", says="app:1")
    assert cli.json("images") == [] and cli.json("list") == []


def run_and_commit(s):
    cli = s.cli
    root = pathlib.Path(cli("run-root", "oci:layout:latest", "c"))
    assert (root / "srv/data").stat().st_size == 100000 and not (root / "etc/conf").exists()
    (root / "srv/new").write_text("new\n")
    changes = ['CMD ["run", "it"]', 'ENTRYPOINT ["/bin/tool"]', "ENV A=1 B='two words'", "ENV C three words", "WORKDIR /srv",
               "WORKDIR sub", "USER 1000:1000", 'LABEL a.b="c d" e=f', "EXPOSE 80 8000-8001/udp", 'VOLUME ["/data"]', "STOPSIGNAL SIGINT"]
    options = [word for change in changes for word in ("--change", change)]
    digest = cli("commit", "c", "--name", "committed:1", "--author", "me", "--created", "2020-01-01T00:00:00Z", "--created-by", "by hand",
                 *options)
    image = json.loads(cli("show-image", "committed:1"))
    assert image["digest"] == digest and len(image["layers"]) == 3
    config = image["config"]["config"]
    assert config["Cmd"] == ["run", "it"] and config["Entrypoint"] == ["/bin/tool"] and config["User"] == "1000:1000"
    assert config["Env"] == ["A=1", "B=two words", "C=three words"] and config["WorkingDir"] == "/srv/sub"
    assert config["Labels"] == {"a.b": "c d", "e": "f"} and config["StopSignal"] == "SIGINT" and config["Volumes"] == {"/data": {}}
    assert sorted(config["ExposedPorts"]) == ["80/tcp", "8000/udp", "8001/udp"]
    last = image["config"]["history"][-1]
    assert last["created_by"] == "by hand" and last["author"] == "me" and last["created"] == "2020-01-01T00:00:00Z"
    cli("umount", "c")
    for compress in ("gzip", "zstd", "none"):
        pushed = cli("save", "committed:1", f"oci:by-{compress}:x", "--compress", compress)
        assert pushed == cli("save", "committed:1", f"oci:again-{compress}:x", "--compress", compress), "other bytes the second time"
        assert json.loads(cli("--json", "load", f"oci:by-{compress}:x"))["layer"] == image["layer"]
    for compress in ("gzip", "zstd", "none"):
        cli("untag", f"localhost/by-{compress}:x")  # as the layouts called what was loaded
    cli("commit", "c")  # without a name a layer, as ever
    cli("remove-container", "c")
    # What has neither name nor container goes.
    assert "committed:1" not in cli("prune", "--min-age", "0")
    assert [i for i in cli.json("images") if i["names"] == ["committed:1"]]
    assert digest in cli("prune", "--all", "--dry-run", "--min-age", "0")
    cli("prune", "--all", "--min-age", "0")
    assert cli.json("images") == [] and cli.json("list") == []


def hostile(s):
    cli = s.cli
    cli("load", "layout", "--tag", "app:1")
    cli("save", "app:1", "oci-archive:good.tar:x")
    cli("save", "app:1", "docker-archive:good-docker.tar:x")
    cli("remove-image", "app:1")
    (s.place / "garbage").write_bytes(os.urandom(5000))
    (s.place / "empty").write_bytes(b"")
    (s.place / "folder").mkdir()
    (s.place / "other.tar").write_bytes((s.place / "base.tar.gz").read_bytes())
    for name in ("garbage", "empty", "folder", "other.tar", "/dev/null", "oci:garbage", "oci-archive:layout"):
        cli.refused("load", name)
    for good in ("good.tar", "good-docker.tar"):
        data = (s.place / good).read_bytes()
        for cut in (600, len(data) // 3, len(data) - 3000):
            (s.place / "cut.tar").write_bytes(data[:cut])
            cli.refused("load", "cut.tar")
    for number, (old, new) in enumerate(((b'"size": ', b'"size": 1'), (b'"schemaVersion": 2', b'"schemaVersion": 1'), (b'"layers"', b'"Layers"'),
                                         (b"{", b"[" * 5000))):
        broken = Layout(s.place / f"broken{number}")
        subprocess.run(["cp", "-r", s.layout.path, broken.path], check=True)
        manifest = s.layout.blob(s.digest).read_bytes().replace(old, new, 1)
        entry = {"mediaType": "application/vnd.oci.image.manifest.v1+json", **broken._add_blob(manifest)}
        (broken.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        cli.refused("load", broken.path)
    for change in ("flip", "cut", "gone"):
        broken = Layout(s.place / change)
        subprocess.run(["cp", "-r", s.layout.path, broken.path], check=True)
        layer = broken.layers()[1]
        data = bytearray(layer.read_bytes())
        data[len(data) // 2] ^= 1
        layer.write_bytes(data if change == "flip" else data[:-10])
        if change == "gone":
            layer.unlink()
        cli("load", broken.path, expect=1)
        assert cli.json("images") == [] and len(cli.json("list")) <= 1, "more than the lower layer of a broken image"
    cli.refused("pull", "Not A Name")
    cli.refused("pull", "nowhere:x", "--policy", "never", says="pulled")


def registry(s):
    with Registry(s.place) as plain:
        cli, name = s.cli, f"{plain.name}/app/web"
        cli("load", "layout", "--tag", "app:1")
        assert cli("push", "app:1", f"docker://{name}:1", "--plain-http") == s.digest
        assert "is there already" in cli.err and cli.err.count("\n") >= 2 or "done" in cli.err, cli.err
        assert cli("push", "app:1", f"docker://{plain.name}/app/mounted:1", "--plain-http", "--mount-from", "app/web") == s.digest
        cli("remove-image", "app:1")
        assert cli("pull", f"{name}:1", f"{name}@{s.digest}", "--tls-verify=false").splitlines() == [s.digest] * 2
        cli("save", f"{name}:1", "oci:back:latest")
        for blob in (s.layout.path / "blobs/sha256").iterdir():
            assert (s.place / "back/blobs/sha256" / blob.name).read_bytes() == blob.read_bytes()
        cli("--quiet", "tag", f"{name}:1", f"{name}:2")
        assert cli("--quiet", "push", f"{name}:2", "--plain-http") == s.digest and cli.err == ""
        assert cli("copy", f"docker://{name}:2", "oci:copied:x", "--src-plain-http") == s.digest
        assert cli("copy", "oci:copied:x", f"docker://{name}:3", "--dest-plain-http") == s.digest
        cli("pull", "--plain-http", f"{name}:9", expect=1)
        assert "not found" in cli.err
    # Offline, with everything there.
    assert cli("pull", f"{name}:1", "--plain-http", "--policy", "missing") == s.digest
    cli("run-root", f"{name}:1", "offline")
    cli("umount", "offline")
    cli("remove-container", "offline")
    cli("pull", f"{name}:1", "--plain-http", "--retries", "0", expect=1)
    # Without kept blobs an image can't be pushed as it came, and the remedy is named.
    cli("remove-image", "--force", f"{name}:1")
    cli("load", "layout", "--tag", "bare", "--no-keep-blobs")
    cli("save", "bare", "oci:bare:x", expect=1)
    assert "; " in cli.err, cli.err
    made = cli("save", "bare", "oci:bare:x", "--recompress")
    assert made != s.digest and made == cli("save", "bare", "oci:bare:y", "--recompress")
    cli("save", "bare", "docker-archive:bare.tar:bare:1")  # whose layers are plain anyway
    bare = cli.json("show-image", "bare")
    for made in ("oci:bare:x", "bare.tar"):
        loaded = cli.json("load", made)
        assert loaded["layer"] == bare["layer"] and loaded["config"] == bare["config_digest"], (loaded, bare)
    # More to transfer than is allowed is refused before any of it is.
    cli("remove-image", "--force", bare["digest"])
    for name in ("localhost/bare:x", "bare:1"):
        cli("remove-image", name)
    cli.refused("load", "layout", "--max-bytes", "10K", says="10240 are allowed")
    cli("load", "layout", "--max-bytes", "1M")


def damage_and_repair(s):
    with Registry(s.place) as plain:
        cli, name = s.cli, f"docker://{plain.name}/app:1"
        cli("load", "layout", "--tag", "app:1")
        cli("push", "app:1", name, "--plain-http")
        assert cli("verify-image") == cli("verify-image", "app:1", "--prove") == f"{s.digest} ok"
        assert cli("repair-image", "app:1").splitlines()[-1] == f"{s.digest} ok"
        data, = (path for path in (cli.store / "trees").rglob("data"))
        blob = cli.store / "blobs/sha256" / s.layout.manifest()["layers"][1]["digest"][7:]

        def damage(*paths):
            for path in paths:
                path.chmod(0o600)
                content = bytearray(path.read_bytes())
                content[len(content) // 2] ^= 1
                path.write_bytes(content)
        damage(data, blob)
        for arguments in (["verify-image"], ["--json", "verify-image", s.digest]):
            cli(*arguments, expect=1)
            assert "repair-image" in cli.err, cli.err
        process = cli.start("verify-image")
        told = process.communicate()[0].splitlines()
        assert all(line.startswith(s.digest) for line in told) and "srv/data: its content has changed" in told[0], told
        assert f"the kept blob sha256:{blob.name}: its digest is" in told[-1], told
        # The bad blob is of no use for the file, nor to anyone else.
        cli("repair-image", "app:1", expect=1)
        assert "--from" in cli.err and not blob.exists(), cli.err
        cli("repair-image", "app:1", "--from", "oci:layout:none", expect=1)
        assert "mended: srv/data" in cli("repair-image", "app:1", "--from", name, "--plain-http")
        assert cli("verify-image", "--prove") == f"{s.digest} ok"
        cli("pull", name, "--plain-http", "--tag", "app:1")  # with its blob again
        assert blob.exists()
        damage(blob)
        cli("--quiet", "push", "app:1", f"docker://{plain.name}/other:1", "--plain-http", expect=1)
        told = cli("repair-image", "app:1", "--from", "oci:layout:latest").splitlines()
        assert f"sha256:{blob.name} mended: the kept blob" in told and told[-1] == f"{s.digest} ok", told
        assert cli("push", "app:1", f"docker://{plain.name}/other:1", "--plain-http") == s.digest
        # What the documents say is what a pull makes again.
        manifest = cli.store / "images/sha256" / s.digest[7:] / "manifest"
        damage(manifest)
        for words in ([], ["app:1"], [s.digest[7:30]]):
            process = cli.start("verify-image", *words)
            told = process.communicate()
            assert "its manifest isn" in told[0] and process.returncode == 1, (words, told)
        cli("repair-image", s.digest, expect=1)
        assert cli("pull", name, "--plain-http", "--tag", "app:1") == s.digest
        assert cli("verify-image", "--prove") == f"{s.digest} ok"


def damaged_record(s):
    """Of an image that was made here, and can't be pulled again."""
    cli = s.cli
    cli("load", "layout", "--tag", "app:1")
    cli("mount", "app:1", "c")
    cli("umount", "c")
    digest = cli("commit", "c", "--name", "made:1")
    cli("remove-container", "c")
    record = cli.store / "images/sha256" / digest[7:] / "image.json"
    record.chmod(0o600)
    record.write_text("{")
    cli("show-image", "made:1", expect=1)
    assert "mended: its record" in cli("repair-image", "made:1")
    assert cli("verify-image", "made:1") == f"{digest} ok"
    record.chmod(0o600)
    record.write_text("{")
    assert cli("remove-image", "made:1") == f"removed {digest}"
    cli("gc")
    assert cli("verify-image") == f"{s.digest} ok"


def passwords(s):
    (s.place / "htpasswd").write_text(htpasswd(USER, PASSWORD))
    (s.place / "login").write_text(f"{USER}:{PASSWORD}\n")
    (s.place / "wrong").write_text(f"{USER}:{PASSWORD}x\n")
    (s.place / "login").chmod(0o600)
    with Registry(s.place, auth={"htpasswd": {"realm": "of a test", "path": str(s.place / "htpasswd")}}) as registry:
        cli, name = s.cli, f"docker://{registry.name}/app:1"
        cli("load", "layout", "--tag", "app:1")
        cli("push", "app:1", name, "--plain-http", "--creds-file", "login")
        cli("pull", name, "--plain-http", "--creds-file", "login")
        cli("pull", name, "--plain-http", "--creds-file", "wrong", expect=1)
        cli("pull", name, "--plain-http", expect=1)
        cli("pull", name, "--plain-http", "--creds", USER, expect=1)
        assert "creds-file" in cli.err, cli.err
        # Asked for on a terminal, and not shown there.
        child, terminal = pty.fork()
        if child == 0:
            os.execv(cli.program, [str(cli.program), "--root", str(cli.store), "pull", name, "--plain-http", "--creds", USER])
        said = read_until(terminal, b": ")
        os.write(terminal, PASSWORD.encode() + b"\n")
        said += read_until(terminal, None)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, said
        assert s.digest.encode() in said and PASSWORD.encode() not in said, said


def read_until(terminal, text):
    said = b""
    while text is None or text not in said:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            part = b""
        if not part:
            assert text is None, said
            return said
        said += part
    return said


class SlowRegistry(Server):
    """Gives an image's layers slowly; what it was asked for is in `asked`, with where the answer began."""

    def __init__(self, layout, delay=0.05):
        owner, self.asked, self.delay = self, [], delay

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.do_GET()

            def do_GET(self):
                what = self.path.rpartition("/")[2]
                if self.path == "/v2/":
                    return self.give(b"{}")
                digest = what if what.startswith("sha256:") else top_of(layout)
                data = layout.blob(digest).read_bytes()
                begin = int((re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) or [0, 0])[1])
                owner.asked.append((digest, begin))
                self.give(data, begin, slow="/blobs/" in self.path and len(data) > 50000)

            def give(self, data, begin=0, slow=False):
                self.send_response(206 if begin else 200)
                if begin:
                    self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
                self.send_header("Content-Length", str(len(data) - begin))
                self.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
                self.end_headers()
                if self.command == "HEAD":
                    return
                with contextlib.suppress(OSError):
                    for at in range(begin, len(data), 4000 if slow else len(data)):
                        self.wfile.write(data[at:at + (4000 if slow else len(data))])
                        time.sleep(owner.delay if slow else 0)

        super().__init__(Handler)


def slow(s):
    with SlowRegistry(s.layout) as slow_registry:
        cli, name = s.cli, f"{slow_registry.name}/app:1"
        # Interrupted, it says what is left of it, and the next goes on from there.
        process = cli.start("pull", name, "--plain-http", "--creds", f"{USER}:{PASSWORD}")
        time.sleep(0.8)
        arguments = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert PASSWORD.encode() not in arguments and f"{USER}:*".encode() in arguments, arguments
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        out, err = process.communicate()
        assert process.returncode == 1 and "goes on from there" in err and time.monotonic() - start < 2, (out, err)
        assert cli.json("images") == []
        # A proxy's password isn't among the arguments either, however it is given; this one never answers.
        with socket.create_server(("127.0.0.1", 0)) as silent:
            proxy = f"http://{USER}:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}"
            for option in (["--proxy", proxy], [f"--proxy={proxy}"]):
                process = cli.start("pull", "registry.example/app:1", "--plain-http", *option)
                silent.accept()[0].close()  # by now they were read
                arguments = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()
                process.send_signal(signal.SIGINT)
                out, err = process.communicate()
                assert PASSWORD.encode() not in arguments and f"{USER}:*".encode() in arguments, arguments
                assert PASSWORD not in out + err, err
        # On a narrow terminal no line is wider than it.
        slow_registry.asked.clear()
        child, terminal = pty.fork()
        if child == 0:
            os.execv("/bin/sh", ["sh", "-c", f"stty cols 40 rows 5; exec '{cli.program}' --root '{cli.store}' pull {name} --plain-http"])
        said = read_until(terminal, None).decode()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, said
        assert any(begin > 0 for _, begin in slow_registry.asked), slow_registry.asked
        lines = [re.sub(r"\x1b\[\d*[A-Z]", "", line).strip("\r") for line in said.split("\n")]
        drawn = [line for line in lines if line.startswith("pull: ")]
        assert drawn and "layers" in drawn[0] and max(len(line) for line in lines if "sha256" not in line) < 40, lines


CASES = [usage, load_and_save, show_and_name, run_and_commit, hostile, registry, damage_and_repair, damaged_record, passwords, slow]


def check(own, only):
    for case in CASES:
        if only and case.__name__ not in only:
            continue
        with own.directory("case") as place:
            start = time.monotonic()
            try:
                case(Scene(own.layerctl, place))
            except AssertionError as failure:
                line = traceback.extract_tb(failure.__traceback__)[-1]
                raise session.Failed(f"{case.__name__}, line {line.lineno}: {str(failure) or line.line}") from failure
            print(f"{case.__name__}: as it should be ({time.monotonic() - start:.1f} s)", flush=True)


session.main(__doc__, ["docker-registry"], check)
