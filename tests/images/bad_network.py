#!/usr/bin/env python3
"""A registry behind a network that breaks, lies and spies: the result is right, or one clear error; no secret is told to
anyone else, or in a message; memory is bounded; what has come isn't sent again.

  bad_network.py REGISTRY_CLIENT HANGING_RESOLVER [CASE...]

Needs docker-registry and openssl.
"""
import base64
import json
import os
import random
import socket
import sys
import time

from broken_network import (HASTY, PASSWORD, SIZES, TOKEN, USER, Cutting, Network, OtherHost, Scene, always, basic_login, is_blob,
                            is_manifest, nothing_wrong, once, status_of, to_other_host)
from registries import MANIFEST, Client, certificate, digest, document, make_image, run_cases, same_files, scratch, skip_without

Scene.program, RESOLVER = sys.argv[1:3]


def cuts():
    """At random bytes, of headers too: what has come isn't sent again."""
    with scratch() as folder, Scene(folder) as scene:
        for seed in range(12):
            chance = random.Random(seed)

            def cut(handler, answer):
                if chance.random() < 0.2:
                    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
                    handler.hang_up()
                    return False
                handler.cut(answer, chance.randrange(len(answer.body)) if answer.body else 0)
                return False
            scene.pull(once(cut, lambda handler: chance.random() < 0.6, 8), options=["--retries", "8"])
            for number, size in enumerate(SIZES):
                sent = scene.network.sent[scene.layer_path(number)]
                assert sent == size, f"seed {seed}: {sent} bytes were sent of a blob of {size}"


def resume_of_one():
    """A blob in ten parts."""
    with scratch() as folder, Scene(folder) as scene:
        scene.pull(once(lambda handler, answer: handler.cut(answer, 300000) or False,
                        lambda handler: handler.path == scene.layer_path(1), 10))
        ranges = [headers.get("Range") for _, path, headers in scene.network.asked if path == scene.layer_path(1)]
        assert ranges == [None] + [f"bytes={300000 * n}-" for n in range(1, 11)], ranges
        assert scene.network.sent[scene.layer_path(1)] == SIZES[1]


def stalls():
    with scratch() as folder, Scene(folder) as scene:
        def stall(handler, answer):
            handler.give(answer, at_most=1000)
            time.sleep(3)
            handler.close_connection = True
            return False
        done = scene.pull(once(stall, is_blob))
        assert "silent" in done.stderr, done.stderr
        started = time.monotonic()
        done = scene.pull(always(lambda handler, answer: time.sleep(5) or True, is_manifest), expect=1, options=["--retries", "1"])
        assert "timed out" in done.stderr and time.monotonic() - started < 4, done.stderr


def slow_drip():
    with scratch() as folder, Scene(folder) as scene:
        def drip(handler, answer):
            handler.start(answer)
            for at in range(0, len(answer.body), 40):
                handler.write(answer.body[at:at + 40])
                handler.wfile.flush()
                time.sleep(0.05)
            return False
        scene.pull(once(drip, is_manifest))


def wrong_lengths():
    with scratch() as folder, Scene(folder) as scene:
        def longer(handler, answer):
            handler.give(answer, length=len(answer.body) + 10)
            handler.hang_up()
            return False

        def shorter(handler, answer):
            handler.give(answer, length=len(answer.body) - 10, at_most=len(answer.body) - 10)
            handler.hang_up()
            return False
        for rule in (longer, shorter):
            done = scene.pull(always(rule, is_blob), expect=1)
            assert "bytes" in done.stderr, done.stderr
            scene.pull(always(rule, is_manifest), expect=1)
        scene.pull(once(longer, is_manifest))  # a manifest that was cut off is asked for again


def wrong_bytes():
    with scratch() as folder, Scene(folder) as scene:
        def other(handler, answer):
            answer.body = answer.body[:-1] + b"\0"

        def lie(handler, answer):
            answer.headers = [(n, v) for n, v in answer.headers if n.lower() != "docker-content-digest"]
            answer.headers.append(("Docker-Content-Digest", digest(b"something else")))

        def nonsense(handler, answer):
            answer.headers = [(n, v) for n, v in answer.headers if n.lower() != "docker-content-digest"]
            answer.headers.append(("Docker-Content-Digest", "sha256:xyz\x1b[31m"))
        for rule, chosen in ((other, is_blob), (other, is_manifest), (lie, is_manifest), (nonsense, is_manifest)):
            done = scene.pull(always(rule, chosen), expect=1)
            assert "igest" in done.stderr and "\x1b" not in done.stderr, done.stderr


def statuses():
    with scratch() as folder, Scene(folder) as scene:
        login = ["--user", f"{USER}:{PASSWORD}"]
        for status, words in ((401, "refused"), (403, "refused"), (404, "not found"), (400, "refused"), (418, "refused"), (204, "204"),
                              (206, "206"), (304, "304")):
            for chosen in (is_manifest, is_blob):
                done = scene.pull(always(status_of(status), chosen), expect=1, options=login)
                assert words in done.stderr and "retry" not in done.stderr, done.stderr
        for status in (429, 500, 502, 503, 504):
            for chosen in (is_manifest, is_blob):
                scene.pull(once(status_of(status, b"x"), chosen, 2))
                done = scene.pull(always(status_of(status), chosen), expect=1)
                assert done.stderr.count("retry: ") == 3 and str(status) in done.stderr, done.stderr
        started = time.monotonic()
        scene.pull(once(status_of(429, Retry_After="1"), is_manifest))
        assert time.monotonic() - started > 1
        started = time.monotonic()  # what is asked for counts up to --most-delay
        scene.pull(once(status_of(503, Retry_After="100000000000000"), is_manifest))
        assert 1.9 < time.monotonic() - started < 6
        scene.pull(once(status_of(503, Retry_After="never"), is_manifest))


def redirects():
    """To another host, which isn't told who we are, and whose URLs work once."""
    login = ["--user", f"{USER}:{PASSWORD}"]
    with scratch() as folder, Scene(folder) as scene:
        blobs = {file.name: file.read_bytes() for file in (folder / "made").iterdir()}
        for cut_after in (None, 400000):
            for user in ("", f"{USER}:{PASSWORD}@"):
                with OtherHost(blobs, cut_after) as other:
                    scene.pull(basic_login(always(to_other_host(other, user), is_blob)), options=login)
                    said = "".join(other.heard)
                    assert len(other.heard) >= 3 and "uthorization" not in said and PASSWORD not in said, said
                    tellers = [h for _, path, h in scene.network.asked if "Authorization" in h]
                    assert tellers, "nobody logged in"
        with OtherHost({}) as other:
            done = scene.pull(basic_login(always(to_other_host(other), is_blob)), options=login, expect=1)
            assert "403" in done.stderr and "store" not in done.stderr, done.stderr
        around = scene.pull(always(lambda handler, answer: status_of(302, Location=handler.path)(handler, answer), is_blob), expect=1)
        assert "redirected more than" in around.stderr, around.stderr
        for place in ("file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "http:///x", "//", "http://a b/", "x" * 20000,
                      "gopher://127.0.0.1:70/x", f"http://{USER}:{PASSWORD}@[::1/", "http://127.0.0.1:99999/", "\x1b[31m"):
            done = scene.pull(always(status_of(307, Location=place), is_blob), expect=1, options=["--retries", "0"])
            assert "\x1b" not in done.stderr, done.stderr
        scene.pull(always(status_of(307), is_blob), expect=1)


def redirect_in_the_clear():
    with scratch() as folder:
        ca = certificate(folder, "ca")
        certs = folder / "certs"
        certs.mkdir()
        (certs / "ca.crt").symlink_to(ca[0])
        blobs = {}
        with Scene(folder, tls=certificate(folder, "server", ca)) as scene, OtherHost(blobs) as other:
            blobs.update({file.name: file.read_bytes() for file in (folder / "made").iterdir()})
            options = HASTY[2:] + ["--certificates", certs, "--user", f"{USER}:{PASSWORD}"]
            scene.pull(basic_login(nothing_wrong), only=options)
            scene.network.rule = basic_login(always(to_other_host(other), is_blob))
            done = scene.pull(only=options, expect=1)
            assert "not encrypted" in done.stderr and not other.heard, done.stderr
            scene.pull(only=HASTY[2:] + ["--insecure", "yes", "--user", f"{USER}:{PASSWORD}"])
            assert other.heard and "uthorization" not in "".join(other.heard)


def endless(what):
    def rule(handler, answer):
        handler.close_connection = True
        if what == "headers":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        elif what == "line":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        elif what == "continue":
            pass
        else:
            handler.wfile.write(f"HTTP/1.1 {500 if what == 'error' else 200} OK\r\nContent-Type: {MANIFEST}\r\n\r\n".encode())
        block = {"headers": b"X-Header: some value of it\r\n" * 1000, "continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
                 "line": b"x" * 30000}.get(what, b" " * 100000)
        try:
            for _ in range(20000):
                handler.write(block)
        except OSError:
            pass
        return False
    return rule


def endless_answers():
    with scratch() as folder, Scene(folder) as scene:
        for what in ("body", "headers", "line", "continue", "error"):
            for chosen in (is_manifest, is_blob):
                started = time.monotonic()
                done = scene.pull(always(endless(what), chosen), expect=1)
                sent = sum(scene.network.sent.values())
                assert sent < 64 << 20 and time.monotonic() - started < 20, f"{what}: {sent} bytes were read"
        endless_login = status_of(401, WWW_Authenticate=f'Bearer realm="http://{scene.network.name}/token",service="x"')

        def login(handler, answer):
            return endless("body")(handler, answer) if handler.path.startswith("/token") else endless_login(handler, answer)
        done = scene.pull(login, expect=1)
        assert "token" in done.stderr, done.stderr


def wrong_documents():
    with scratch() as folder, Scene(folder) as scene:
        whole = (folder / "made/top").read_bytes().partition(b"\n")[2]
        manifest = json.loads(whole)
        deep = b'{"a":' + b"[" * 100000 + b"]" * 100000 + b"}"
        big = b'{"schemaVersion": 2, "x": "' + b"a" * (100 << 20) + b'"}'
        wide = b"{%s}" % b",".join(b'"k%06d":0' % number for number in range(250_000))
        odd = [wide, b"[%s]" % b",".join([b"{}"] * 1_000_000), b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe{}", whole[:-7], deep, big, b"{}", document({**manifest, "layers": {}}),
               document({**manifest, "layers": [{}]}), document({**manifest, "schemaVersion": 3}), b'{"a":1e999}', b'{"a":"\x00"}',
               document({**manifest, "layers": [{**manifest["layers"][0], "size": -1}]}),
               document({**manifest, "layers": [{**manifest["layers"][0], "digest": "../../etc/passwd"}]}),
               document({**manifest, "config": {**manifest["config"], "size": 1 << 40}})]
        for body in odd:
            for kind in (MANIFEST, "text/html; charset=utf-8"):
                def replace(handler, answer):
                    answer.body, answer.headers = body, [("Content-Type", kind)]
                scene.pull(always(replace, is_manifest), expect=1)


def garbage():
    with scratch() as folder, Scene(folder) as scene:
        lines = [b"\0" * 1000, b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n", b"HTTP/1.1 999999 OK\r\n\r\n",
                 b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                 b"HTTP/1.1 200 OK\r\n: x\r\n\r\n", b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
                 b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", os.urandom(5000),
                 b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
                 b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"]
        for line in lines:
            def reply(handler, answer):
                handler.wfile.write(line)
                handler.hang_up()
                return False
            for chosen in (is_manifest, is_blob):
                scene.pull(always(reply, chosen), expect=1, options=["--retries", "1"])


def ranges():
    """One who ignores Range, refuses it, or answers another one."""
    with scratch() as folder, Scene(folder) as scene:
        big = scene.layer_path(1)

        def after_a_break(rule):
            def changed(handler, answer):
                if handler.path != big:
                    return True
                if not handler.headers.get("Range"):
                    if any(h.get("Range") for _, path, h in scene.network.asked if path == big):
                        return True  # asked for all of it, again
                    handler.cut(answer, 1000000)
                    return False
                return rule(handler, answer)
            return changed

        whole = (folder / "made" / big.split(":")[-1]).read_bytes()

        def ignored(handler, answer):
            answer.status, answer.body = 200, whole
            answer.headers = [(n, v) for n, v in answer.headers if n != "Content-Range"]

        def labelled(text):
            def rule(handler, answer):
                answer.headers = [(n, text if n == "Content-Range" else v) for n, v in answer.headers]
            return rule

        scene.pull(after_a_break(ignored))
        assert scene.network.sent[big] == 1000000 + len(whole)
        for text in ("bytes 0-10/3145728", "bytes 999999-3145727/3145728", "bytes 1000000-3145727/3145729", "x", "bytes 5-1/9", ""):
            scene.pull(after_a_break(labelled(text)))
        scene.pull(after_a_break(status_of(416)))
        scene.pull(after_a_break(labelled("bytes 1000000-3145727/*")))
        done = scene.pull(after_a_break(status_of(404)), expect=1)
        assert "not found" in done.stderr, done.stderr


def echoes():
    """A registry that repeats in its errors what it was told."""
    with scratch() as folder, Scene(folder) as scene:
        def echo(handler, answer):
            told = handler.headers.get("Authorization", "")
            known = base64.b64decode(told.split()[1]).decode() if " " in told else ""
            body = document({"errors": [{"code": f"DENIED {known}", "message": f"no: {told} {known} \x1b[31m\n"}]})
            return status_of(403, body)(handler, answer)
        done = scene.pull(basic_login(echo), options=["--user", f"{USER}:{PASSWORD}"], expect=1)
        assert "[secret]" in done.stderr and "\x1b" not in done.stderr, done.stderr

        def token(handler, answer):
            if handler.path.startswith("/token"):
                return status_of(200, document({"token": TOKEN}))(handler, answer)
            told = handler.headers.get("Authorization", "")
            if not told:
                return status_of(401, WWW_Authenticate=f'Bearer realm="http://{scene.network.name}/token"')(handler, answer)
            return status_of(403, document({"errors": [{"code": "DENIED", "message": told}]}))(handler, answer)
        done = scene.pull(token, expect=1)
        assert "[secret]" in done.stderr, done.stderr


def challenges():
    """Challenges that lead nowhere."""
    with scratch() as folder, Scene(folder) as scene:
        here = scene.network.name
        for challenge in ("", "Bearer", "Bearer realm", 'Bearer realm="', "Bearer realm=,", 'Bearer realm="file:///etc/passwd"',
                          'Bearer realm="http://"', "Negotiate", "Basic", "Digest realm=x, nonce=y", "," * 5000, '"' * 5000,
                          f'Bearer realm="http://{here}/missing"', f'Bearer realm="http://{USER}:{PASSWORD}@{here}/missing"',
                          f'Bearer realm="http://localhost:1/token"', "Basic realm=\x1b[31m"):
            done = scene.pull(always(status_of(401, WWW_Authenticate=challenge), lambda handler: "/v2/" in handler.path), expect=1,
                              options=["--retries", "1"])
            assert "\x1b" not in done.stderr, done.stderr
        for answer in (b"", b"{}", b"[]", b'{"token": 5}', b'{"token": "a\\r\\nX: y"}', b'{"token": "x", "expires_in": "y"}', b"[" * 60000):
            def login(handler, old):
                if handler.path.startswith("/token"):
                    return status_of(200, answer)(handler, old)
                return status_of(401, WWW_Authenticate=f'Bearer realm="http://{here}/token"')(handler, old)
            scene.pull(login, expect=1)

        def never_enough(handler, old):
            if handler.path.startswith("/token"):
                return status_of(200, document({"token": TOKEN}))(handler, old)
            return status_of(401, WWW_Authenticate=f'Bearer realm="http://{here}/token"')(handler, old)
        scene.pull(never_enough, expect=1)
        assert len(scene.network.asked) < 8, scene.network.asked


def pages():
    """A list that links on and on."""
    with scratch() as folder, Scene(folder) as scene:
        def more(handler, answer):
            answer.headers.append(("Link", f'<{handler.path}>; rel="next"'))
        scene.network.rule = more
        done = scene.client("tags", f"{scene.network.name}/a", options=HASTY, expect=1)
        assert "pages" in done.stderr, done.stderr


def uploads():
    """Uploads that break, at any byte; answers that are lost; a blob that isn't the one that was said."""
    with scratch() as folder, Scene(folder, push=False) as scene:
        cutting = Cutting(scene)
        scene.network.take_body = cutting

        def push(number, options=(), expect=0, made="made"):
            done = scene.client("push", folder / made, f"{scene.network.name}/p{number}:1", options=[*HASTY, *options], expect=expect)
            if expect == 0:
                scene.client("pull", f"{scene.registry.name}/p{number}:1", folder / f"pushed{number}", options=["--plain", "yes"])
                assert same_files(folder / made, folder / f"pushed{number}"), "other bytes"
            return done

        for number in range(6):
            cutting.left = 3
            push(number, options=["--chunk", "500000"] if number % 2 else [])
            assert cutting.left == 0
        is_upload = lambda handler: "/blobs/uploads/" in handler.path and handler.command in ("PUT", "PATCH")
        for status in (500, 503, 429):  # the upload went well, and nobody heard of it
            scene.network.rule = once(status_of(status), is_upload, 2)
            push(f"s{status}")
        refusals = [status_of(400), status_of(413), status_of(202), status_of(201, Docker_Content_Digest=digest(b"other"))]
        for number, rule in enumerate(refusals):
            scene.network.rule = always(rule, is_upload)
            push(f"refused{number}", expect=1)
        is_start = lambda handler: handler.command == "POST"
        for rule in (status_of(202), status_of(202, Location="file:///etc/passwd"), status_of(404), status_of(200)):
            scene.network.rule = always(rule, is_start)
            push("nowhere", expect=1)
        scene.network.rule = nothing_wrong
        make_image(folder / "wrong", SIZES)
        name = scene.layer_path(1).split(":")[-1]
        for data in (b"", b"short", (folder / "made" / name).read_bytes() + b"x", bytes(SIZES[1])):
            (folder / "wrong" / name).write_bytes(data)
            done = push("wrong", expect=1, made="wrong")
            assert "wrong digest" in done.stderr, done.stderr
            assert not any(file.stat().st_size for file in scene.registry.folder.glob(f"data/**/wrong/_layers/**/{name}/link"))


def uploads_elsewhere():
    """A registry that has its uploads on another host doesn't tell that one who we are."""
    with scratch() as folder, Scene(folder, push=False) as scene, Network(scene.registry, nothing_wrong) as other:
        def elsewhere(handler, answer):
            path = dict(answer.headers)["Location"].split("/v2/")[1]
            answer.headers = [("Location", f"http://127.0.0.1:{other.port}/v2/{path}")]
        scene.network.rule = basic_login(once(elsewhere, lambda handler: handler.command == "POST", -1))
        scene.client("push", folder / "made", f"{scene.network.name}/a:1", options=[*HASTY, "--user", f"{USER}:{PASSWORD}"])
        assert other.asked and not any("Authorization" in headers for _, _, headers in other.asked)
        scene.client("pull", f"{scene.registry.name}/a:1", folder / "back", options=["--plain", "yes"])
        assert same_files(folder / "made", folder / "back")


def encrypted():
    """Cuts in the middle of TLS."""
    with scratch() as folder:
        ca = certificate(folder, "ca")
        certs = folder / "certs"
        certs.mkdir()
        (certs / "ca.crt").symlink_to(ca[0])
        options = HASTY[2:] + ["--certificates", certs]
        with Scene(folder, tls=certificate(folder, "server", ca)) as scene:
            chance = random.Random(2)
            for _ in range(3):
                scene.pull(once(lambda handler, answer: handler.cut(answer, chance.randrange(len(answer.body))) or False, is_blob, 6),
                           only=[*options, "--retries", "6"])
                assert scene.network.sent[scene.layer_path(1)] == SIZES[1]
            scene.network.rule = nothing_wrong
            scene.network.take_body = cutting = Cutting(scene)
            for number in range(4):
                cutting.left = 3
                scene.client("push", folder / "made", f"{scene.network.name}/p{number}:1", options=options)
                assert cutting.left == 0
            scene.network.scheme = "http"  # as behind a proxy that doesn't tell
            done = scene.client("push", folder / "made", f"{scene.network.name}/q:1", options=options, expect=1)
            assert "not encrypted" in done.stderr, done.stderr


def mirror_that_asks():
    """A mirror that demands a login isn't told the one that is meant for the registry."""
    with scratch() as folder, Scene(folder) as scene, Network(scene.registry, basic_login(nothing_wrong)) as mirror:
        login = ["--user", f"{USER}:{PASSWORD}", "--mirror", mirror.name]
        done = scene.pull(basic_login(nothing_wrong), options=login)
        assert "next mirror, or the registry" in done.stderr, done.stderr
        assert mirror.asked and not any("Authorization" in headers for _, _, headers in mirror.asked), mirror.asked


def cancelled():
    """Within 100 ms, wherever it is: connecting, waiting for an answer, reading, waiting to try again, sending."""
    with scratch() as folder, Scene(folder) as scene:
        slow = ["--plain", "yes", "--first-delay", "20000", "--stop-after", "600"]
        late = {}

        def stopped(what, done):
            assert ("retry: " in done.stderr) == (what == "backing off"), f"{what}: {done.stderr}"
            late[what] = done.late
        def silent(handler, answer):
            time.sleep(2)
            return False
        def stuck(handler, answer):
            handler.give(answer, at_most=1000)
            time.sleep(2)
            return False
        stopped("waiting", scene.pull(always(silent, is_manifest), only=slow, expect=3))
        stopped("reading", scene.pull(always(stuck, is_blob), only=slow, expect=3))
        stopped("backing off", scene.pull(always(status_of(503), is_blob), only=slow, expect=3))
        with socket.socket() as full:  # connections beyond the backlog are never answered
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            others = [socket.socket() for _ in range(4)]
            for other in others:
                other.setblocking(False)
                other.connect_ex(full.getsockname())
            name = f"127.0.0.1:{full.getsockname()[1]}"
            stopped("connecting", scene.client("pull", f"{name}/a:1", folder / "no", options=slow, expect=3))
            stopped("shaking hands", scene.client("pull", f"{name}/a:1", folder / "no", options=slow[2:], expect=3))
            for other in others:
                other.close()
        if not scene.client.is_sanitized:  # their own libraries want to be the first
            resolving = Client(Scene.program, environment={"LD_PRELOAD": RESOLVER})
            stopped("resolving", resolving("pull", "hangs.test:5000/a:1", folder / "no", options=slow, expect=3))
        scene.network.rule = always(silent, lambda handler: handler.command in ("PUT", "PATCH"))
        stopped("sending", scene.client("push", folder / "made", f"{scene.network.name}/b:1", options=slow, expect=3))
        assert all(ms < 100 for ms in late.values()), late


if __name__ == "__main__":
    skip_without("docker-registry", "openssl")
    sys.exit(run_cases([cuts, resume_of_one, stalls, slow_drip, wrong_lengths, wrong_bytes, statuses, redirects, redirect_in_the_clear,
                        endless_answers, wrong_documents, garbage, ranges, echoes, challenges, pages, uploads, uploads_elsewhere,
                        encrypted, mirror_that_asks, cancelled], sys.argv[3:]))
