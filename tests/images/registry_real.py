#!/usr/bin/env python3
"""Pulls from and pushes to Debian's docker-registry: plain, with TLS, client certificates, htpasswd and tokens.

  registry_real.py REGISTRY_CLIENT [CASE...]

Needs docker-registry and openssl.
"""
import base64
import http.client
import http.server
import json
import os
import select
import socket
import sys

from registries import (MANIFEST, Client, Registry, Server, TokenServer, certificate, descriptor, document, htpasswd, make_image,
                        make_index, run_cases, same_files, scratch, skip_without)

PROGRAM = sys.argv[1]
USER, PASSWORD, REFRESH = "someone", "correct-horse-battery", "refresh-token-of-a-test"
SECRETS = [PASSWORD, f"{USER}:{PASSWORD}", REFRESH]
SIZES = [0, 1, 70000, 3 << 20]


def auth_file(folder, name, entry):
    file = folder / "auth.json"
    file.write_text(json.dumps({"auths": {name: entry}}))
    return file


def encoded(user, password):
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def get(registry, path, method="GET", body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", registry.port)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer, answer.read()


def plain():
    """Push and pull give the same bytes; what is there isn't sent again; tags; an index; a range."""
    with scratch() as folder, Registry(folder) as registry:
        client = Client(PROGRAM)
        made = make_image(folder / "a", SIZES)
        client("push", folder / "a", f"{registry.name}/app/a:1", options=["--plain", "yes"])
        again = client("push", folder / "a", f"{registry.name}/app/a:2", options=["--plain", "yes"])
        assert "sent" not in again.stdout and again.stdout.count("had") == len(SIZES) + 1, again.stdout
        for wanted in (":1", f"@{made}"):
            client("pull", f"{registry.name}/app/a{wanted}", folder / "back", options=["--plain", "yes"])
            assert same_files(folder / "a", folder / "back")
        tags = client("tags", f"{registry.name}/app/a", options=["--plain", "yes"]).stdout.splitlines()
        assert tags[:2] == ["tag 1", "tag 2"], tags
        make_image(folder / "b", [1234], seed=1)
        top = make_index(folder / "index", [folder / "a", folder / "b"])
        client("push", folder / "index", f"{registry.name}/app/index:1", options=["--plain", "yes"])
        pulled = client("pull", f"{registry.name}/app/index:1", folder / "index-back", options=["--plain", "yes"])
        assert f"top {top}" in pulled.stdout and same_files(folder / "index", folder / "index-back")
        client("pull", f"{registry.name}/app/a:1", folder / "rest", options=["--plain", "yes", "--from", "60000"])
        for file in folder.joinpath("a").iterdir():
            rest = (folder / "rest" / file.name).read_bytes()
            whole = file.read_bytes()
            assert rest in (whole, whole[60000:]), file
        none = client("pull", f"{registry.name}/app/a:3", folder / "none", options=["--plain", "yes"], expect=1)
        assert "MANIFEST_UNKNOWN" in none.stderr and "not found" in none.stderr, none.stderr
        client("pull", f"{registry.name}/app/nothing:1", folder / "none", options=["--plain", "yes"], expect=1)
        assert not any((folder / "none").iterdir())


def many_tags():
    """Pages of a list, each of which links to the next."""
    with scratch() as folder, Registry(folder) as registry:
        client = Client(PROGRAM)
        make_image(folder / "a", [10])
        client("push", folder / "a", f"{registry.name}/a:0", options=["--plain", "yes"])
        body = (folder / "a" / "top").read_bytes().partition(b"\n")[2]
        for number in range(1, 130):
            answer, _ = get(registry, f"/v2/a/manifests/{number:03}", "PUT", body, {"Content-Type": MANIFEST})
            assert answer.status == 201
        tags = client("tags", f"{registry.name}/a", options=["--plain", "yes"]).stdout.splitlines()[:-1]
        assert tags == sorted(["tag 0"] + [f"tag {number:03}" for number in range(1, 130)]), len(tags)


def mounted():
    """A blob that another repository has isn't sent."""
    with scratch() as folder, Registry(folder) as registry:
        client = Client(PROGRAM)
        make_image(folder / "a", SIZES)
        client("push", folder / "a", f"{registry.name}/one:1", options=["--plain", "yes"])
        done = client("push", folder / "a", f"{registry.name}/two:1",
                      options=["--plain", "yes", "--mount-from", "nothing", "--mount-from", "one"])
        assert "sent" not in done.stdout, done.stdout
        client("pull", f"{registry.name}/two:1", folder / "back", options=["--plain", "yes"])
        assert same_files(folder / "a", folder / "back")
        left = list((registry.folder / "data").glob("**/_uploads/*/startedat"))
        assert not left, left


def chunked():
    with scratch() as folder, Registry(folder) as registry:
        client = Client(PROGRAM)
        make_image(folder / "a", SIZES)
        for chunk in (65536, 1000000, 5 << 20):
            client("push", folder / "a", f"{registry.name}/c{chunk}:1", options=["--plain", "yes", "--chunk", chunk])
            client("pull", f"{registry.name}/c{chunk}:1", folder / f"back{chunk}", options=["--plain", "yes"])
            assert same_files(folder / "a", folder / f"back{chunk}")


def referrers():
    """This registry has no list of referrers: the fallback tag is kept and read."""
    with scratch() as folder, Registry(folder) as registry:
        client = Client(PROGRAM)
        subject = make_image(folder / "a", [10])
        body = (folder / "a" / "top").read_bytes().partition(b"\n")[2]
        first = make_image(folder / "b", [20], subject=descriptor(MANIFEST, body), artifactType="application/vnd.test.one")
        second = make_image(folder / "c", [30], subject=descriptor(MANIFEST, body))
        for name in "abcb":
            client("push", folder / name, f"{registry.name}/app:{name}", options=["--plain", "yes"])
        found = client("referrers", f"{registry.name}/app:a", subject, options=["--plain", "yes"]).stdout.splitlines()[:-1]
        config = "application/vnd.oci.image.config.v1+json"
        assert found == [f"referrer {first} application/vnd.test.one", f"referrer {second} {config}"], found
        none = client("referrers", f"{registry.name}/app:a", first, options=["--plain", "yes"]).stdout.splitlines()[:-1]
        assert none == [], none


def copied():
    """From layout to registry, to another repository, and back: by copy_image, several blobs at a time."""
    with scratch() as folder, Registry(folder) as registry:
        client = Client(PROGRAM)
        made = make_image(folder / "a", [100000 + number for number in range(20)])
        client("push", folder / "a", f"{registry.name}/a:1", options=["--plain", "yes"])
        steps = [f"docker://{registry.name}/a:1", f"oci:{folder}/layout:x", f"docker://{registry.name}/b:1", f"oci:{folder}/layout2:x",
                 f"docker://{registry.name}/c@{made}"]
        for one, other in zip(steps, steps[1:]):
            assert f"top {made}" in client("copy", one, other, options=["--plain", "yes"]).stdout, (one, other)
        client("pull", f"{registry.name}/c@{made}", folder / "back", options=["--plain", "yes"])
        assert same_files(folder / "a", folder / "back")


def schema1():
    """An image of 2015 is refused in one line."""
    class Old(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            body = document({"schemaVersion": 1, "name": "old", "tag": "1", "fsLayers": [], "history": [], "signatures": []})
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with scratch() as folder, Server(Old) as server:
        done = Client(PROGRAM)("pull", f"{server.name}/old:1", folder / "old", options=["--plain", "yes"], expect=1)
        assert "schema 1" in done.stderr, done.stderr


def tls():
    """Its own CA, by option and by the usual folder; without it nothing; client certificates; no checks where asked."""
    with scratch() as folder:
        ca = certificate(folder, "ca")
        server = certificate(folder, "server", ca)
        user = certificate(folder, "user", ca, "clientAuth")
        certs = folder / "certs"
        certs.mkdir()
        (certs / "ca.crt").symlink_to(ca[0])
        make_image(folder / "a", SIZES)
        home = folder / "home"
        client = Client(PROGRAM, environment={"HOME": str(home)})
        with Registry(folder, tls=server) as registry:
            refused = client("push", folder / "a", f"{registry.name}/a:1", expect=1)
            assert "certificate" in refused.stderr and "authority" in refused.stderr, refused.stderr
            assert "retry" not in refused.stderr, refused.stderr
            client("push", folder / "a", f"{registry.name}/a:1", options=["--certificates", certs])
            client("pull", f"{registry.name}/a:1", folder / "back", options=["--insecure", "yes"])
            assert same_files(folder / "a", folder / "back")
            usual = home / ".config/containers/certs.d" / registry.name
            usual.parent.mkdir(parents=True)
            usual.symlink_to(certs)
            client("pull", f"{registry.name}/a:1", folder / "back2")
            assert same_files(folder / "a", folder / "back2")
        with Registry(folder) as registry:
            refused = client("push", folder / "a", f"{registry.name}/a:1", expect=1)
            assert "plain HTTP" in refused.stderr, refused.stderr
            client("push", folder / "a", f"{registry.name}/a:1", options=["--insecure", "yes"])
        with Registry(folder, tls=server, client_ca=ca[0]) as registry:
            client("push", folder / "a", f"{registry.name}/a:1", options=["--certificates", certs, "--retries", "0"], expect=1)
            (certs / "user.cert").symlink_to(user[0])
            lost = client("push", folder / "a", f"{registry.name}/a:1", options=["--certificates", certs], expect=1)
            assert "its key is missing" in lost.stderr, lost.stderr
            (certs / "user.key").symlink_to(user[1])
            client("push", folder / "a", f"{registry.name}/a:1", options=["--certificates", certs])


def basic():
    """htpasswd: by option, by file, by helper; nobody and a stranger are refused; no message has the password."""
    with scratch() as folder:
        (folder / "htpasswd").write_text(htpasswd(USER, PASSWORD))
        auth = {"htpasswd": {"realm": "a test", "path": str(folder / "htpasswd")}}
        make_image(folder / "a", SIZES)
        environment = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder / "run"), "PATH": f"{folder}:{os.environ['PATH']}"}
        client = Client(PROGRAM, SECRETS + ["wrong-password"], environment)
        with Registry(folder, auth=auth) as registry:
            name = f"{registry.name}/team/a:1"
            nobody = client("push", folder / "a", name, options=["--plain", "yes"], expect=1)
            assert "without credentials" in nobody.stderr, nobody.stderr
            stranger = client("push", folder / "a", name, options=["--plain", "yes", "--user", f"{USER}:wrong-password"], expect=1)
            assert f"as '{USER}'" in stranger.stderr and "refused" in stranger.stderr, stranger.stderr
            client("push", folder / "a", name, options=["--plain", "yes", "--user", f"{USER}:{PASSWORD}"])
            for key in (registry.name, f"{registry.name}/team", f"{registry.name}/team/a", f"http://{registry.name}/v1/"):
                file = auth_file(folder, key, {"auth": encoded(USER, PASSWORD)})
                client("pull", name, folder / "back", options=["--plain", "yes", "--auth-file", file])
            file = auth_file(folder, f"{registry.name}/other", {"auth": encoded(USER, PASSWORD)})
            client("pull", name, folder / "back", options=["--plain", "yes", "--auth-file", file], expect=1)

            helper = folder / "docker-credential-test"
            helper.write_text(f"#!/bin/sh\nread server\n[ \"$1 $server\" = 'get {registry.name}' ] || {{ echo credentials not found in a test; exit 1; }}\n"
                              f"echo '{{\"ServerURL\":\"x\",\"Username\":\"{USER}\",\"Secret\":\"{PASSWORD}\"}}'\n")
            helper.chmod(0o755)
            (folder / ".docker").mkdir()
            for how in ({"credsStore": "test"}, {"credHelpers": {registry.name: "test"}}):
                (folder / ".docker/config.json").write_text(json.dumps({"auths": {registry.name: {}}, **how}))
                client("pull", name, folder / "back", options=["--plain", "yes"])
            (folder / ".docker/config.json").write_text('{"credsStore": "missing"}')
            missing = client("pull", name, folder / "back", options=["--plain", "yes"], expect=1)
            assert "docker-credential-missing" in missing.stderr, missing.stderr
            helper.write_text("#!/bin/sh\nexec sleep 60\n")
            (folder / ".docker/config.json").write_text('{"credsStore": "test"}')
            hangs = client("pull", name, folder / "back", options=["--plain", "yes", "--stop-after", "500"], expect=3)
            assert hangs.late < 100, hangs.late
            for bad in ("{", '{"auths": {"x": {"auth": "####"}}}', '{"auths": {"x": 1}}', '{"credsStore": "../x"}', "[" * 100000):
                (folder / ".docker/config.json").write_text(bad)
                client("pull", name, folder / "back", options=["--plain", "yes"], expect=1)


def tokens():
    """Anonymous, by password and by refresh token; one token for many requests; a new one before it ends."""
    with scratch() as folder:
        make_image(folder / "a", SIZES)
        client = Client(PROGRAM, SECRETS + ["wrong-password"], {"HOME": str(folder)})
        with TokenServer(folder, {USER: PASSWORD}, REFRESH) as server, Registry(folder, auth=server.auth) as registry:
            name = f"{registry.name}/team/a:1"
            refused = client("push", folder / "a", name, options=["--plain", "yes"], expect=1)
            assert "without credentials" in refused.stderr, refused.stderr
            refused = client("push", folder / "a", name, options=["--plain", "yes", "--user", f"{USER}:wrong-password"], expect=1)
            assert "[secret]" in refused.stderr and f"as '{USER}'" in refused.stderr, refused.stderr
            server.asked.clear()
            client("push", folder / "a", name, options=["--plain", "yes", "--user", f"{USER}:{PASSWORD}"])
            assert len(server.asked) == 1 and server.asked[0][1]["scope"] == ["repository:team/a:pull,push"], server.asked
            server.asked.clear()
            client("pull", name, folder / "back", options=["--plain", "yes"])
            assert same_files(folder / "a", folder / "back")
            assert len(server.asked) == 1 and server.asked[0][1]["scope"] == ["repository:team/a:pull"], server.asked
            file = auth_file(folder, registry.name, {"identitytoken": REFRESH})
            client("push", folder / "a", f"{registry.name}/team/b:1", options=["--plain", "yes", "--auth-file", file])
            file = auth_file(folder, registry.name, {"identitytoken": REFRESH + "-old"})
            client("push", folder / "a", f"{registry.name}/team/b:1", options=["--plain", "yes", "--auth-file", file], expect=1)
            done = client("push", folder / "a", f"{registry.name}/team/c:1",
                          options=["--plain", "yes", "--user", f"{USER}:{PASSWORD}", "--mount-from", "team/a"])
            assert "sent" not in done.stdout, done.stdout


def token_of_many():
    """Ten threads at once need one token, whose server is slow; a token that has ended is one that is asked for again."""
    with scratch() as folder:
        make_image(folder / "a", SIZES)
        client = Client(PROGRAM, SECRETS, {"HOME": str(folder)})
        with TokenServer(folder, {USER: PASSWORD}, REFRESH, delay=0.5) as server, Registry(folder, auth=server.auth) as registry:
            name = f"{registry.name}/a:1"
            client("push", folder / "a", name, options=["--plain", "yes", "--user", f"{USER}:{PASSWORD}"])
            server.asked.clear()
            done = client("race", name, 10, options=["--plain", "yes"])
            assert f"right {10 * len(SIZES)}" in done.stdout, done.stdout
            assert len(server.asked) == 2, server.asked  # one to read the manifest by, one for all of the threads
            server.asked.clear()
            server.age = 1000  # each token is refused by the registry at once
            refused = client("pull", name, folder / "back", options=["--plain", "yes"], expect=1)
            assert "refused" in refused.stderr and len(server.asked) == 2, server.asked


def tokens_in_the_clear():
    """An encrypted registry whose token server isn't is refused before it is told anything."""
    with scratch() as folder:
        ca = certificate(folder, "ca")
        certs = folder / "certs"
        certs.mkdir()
        (certs / "ca.crt").symlink_to(ca[0])
        make_image(folder / "a", [10])
        client = Client(PROGRAM, SECRETS)
        tls = certificate(folder, "server", ca)
        with TokenServer(folder, {USER: PASSWORD}, REFRESH) as server, Registry(folder, auth=server.auth, tls=tls) as registry:
            options = ["--certificates", certs, "--user", f"{USER}:{PASSWORD}"]
            refused = client("push", folder / "a", f"{registry.name}/a:1", options=options, expect=1)
            assert "in the clear" in refused.stderr and not server.asked, refused.stderr
        with TokenServer(folder, {USER: PASSWORD}, REFRESH, tls=tls) as server, Registry(folder, auth=server.auth, tls=tls) as registry:
            client("push", folder / "a", f"{registry.name}/a:1", options=options)


def mirrors():
    """The first that has it; a mirror that is down, or hasn't, is passed over."""
    with scratch() as folder, Registry(folder) as origin, Registry(folder) as mirror:
        client = Client(PROGRAM)
        make_image(folder / "a", SIZES)
        make_image(folder / "b", SIZES, seed=1)
        client("push", folder / "a", f"{origin.name}/app:1", options=["--plain", "yes"])
        client("push", folder / "b", f"{mirror.name}/copies/of/app:1", options=["--plain", "yes"])
        options = ["--plain", "yes", "--mirror", "localhost:1", "--mirror", f"{mirror.name}/other", "--mirror", f"{mirror.name}/copies/of"]
        client("pull", f"{origin.name}/app:1", folder / "back", options=options)
        assert same_files(folder / "b", folder / "back")
        client("pull", f"{origin.name}/app:1", folder / "back2", options=options[:-2])
        assert same_files(folder / "a", folder / "back2")


def through_a_proxy():
    """The proxy of a registry's TLS hears nothing of it; its own password is told to nobody else."""
    heard = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_CONNECT(self):
            heard.append(str(self.headers))
            host, _, port = self.path.partition(":")
            with socket.create_connection((host, int(port))) as other:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Proxy: yes\r\n\r\n")
                ends = {self.connection: other, other: self.connection}
                while True:
                    for end in select.select(list(ends), [], [])[0]:
                        data = end.recv(65536)
                        if not data:
                            self.close_connection = True
                            return
                        ends[end].sendall(data)

    with scratch() as folder, Server(Proxy) as proxy:
        ca = certificate(folder, "ca")
        certs = folder / "certs"
        certs.mkdir()
        (certs / "ca.crt").symlink_to(ca[0])
        (folder / "htpasswd").write_text(htpasswd(USER, PASSWORD))
        make_image(folder / "a", SIZES)
        client = Client(PROGRAM, SECRETS + ["password-of-a-proxy"])
        auth = {"htpasswd": {"realm": "a test", "path": str(folder / "htpasswd")}}
        url = f"http://me:password-of-a-proxy@127.0.0.1:{proxy.port}"
        options = ["--certificates", certs, "--user", f"{USER}:{PASSWORD}", "--proxy", url]
        with Registry(folder, auth=auth, tls=certificate(folder, "server", ca)) as registry:
            client("push", folder / "a", f"{registry.name}/a:1", options=options)
            client("pull", f"{registry.name}/a:1", folder / "back", options=options)
            assert same_files(folder / "a", folder / "back")
            login = "Proxy-Authorization: Basic " + encoded("me", "password-of-a-proxy")
            assert heard and all(login in one for one in heard), heard
            assert not any("\nAuthorization" in one or encoded(USER, PASSWORD) in one for one in heard), heard
        options[-1] = "http://me:password-of-a-proxy@127.0.0.1:1"
        client("pull", f"{registry.name}/a:1", folder / "back", options=[*options, "--retries", "1"], expect=1)


def hub_credentials():
    """docker's own registry is found by its usual name."""
    with scratch() as folder:
        client = Client(PROGRAM, environment={"HOME": str(folder)})
        for key in ("docker.io", "docker.io/library"):
            file = auth_file(folder, key, {"auth": encoded("me", "mine")})
            assert "credentials me:mine:" in client("credentials", "docker.io/library/debian", options=["--auth-file", file]).stdout, key
        assert "credentials ::" in client("credentials", "localhost:5000/debian", options=["--auth-file", file]).stdout


if __name__ == "__main__":
    skip_without("docker-registry", "openssl")
    sys.exit(run_cases([plain, many_tags, mounted, chunked, referrers, copied, schema1, tls, basic, tokens, token_of_many, tokens_in_the_clear, mirrors,
                        through_a_proxy, hub_credentials], sys.argv[2:]))
