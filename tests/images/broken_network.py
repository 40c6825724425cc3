"""A network between a client and a registry that can be told to break, to lie and to spy: what bad_network.py is about."""
import base64
import http.client
import http.server
import json
import random
import socket
import time

from registries import Client, Registry, Server, make_image, same_files

USER, PASSWORD, SIGNATURE, TOKEN = "someone", "correct-horse-battery", "signature-of-a-url", "token-that-was-given"
SECRETS = [PASSWORD, f"{USER}:{PASSWORD}", SIGNATURE, TOKEN]
SIZES = [200000, 3 << 20]
HASTY = ["--plain", "yes", "--first-delay", "20", "--most-delay", "2", "--stall-timeout", "1", "--retries", "3"]
MORE_MEMORY = 24 << 10  # KiB that any case may take beyond a pull that goes well


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body


class Network(Server):
    """Between a client and a registry. `rule(handler, answer)`, asked for each answer, may change it, send something else
    itself and return False, or end the connection by handler.cut(bytes of the body)."""

    def __init__(self, registry, rule, tls=None):
        self.sent = {}     # bytes of bodies, by path
        self.asked = []    # method, path, headers
        self.rule = rule
        self.scheme = "https" if tls else "http"
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def any(self):
                owner.asked.append((self.command, self.path, dict(self.headers)))
                size = int(self.headers.get("Content-Length") or 0)
                body = owner.take_body(self, size)
                if body is None:
                    return self.hang_up()
                answer = owner.forward(self, registry, body)
                if owner.rule(self, answer) is not False and not self.close_connection:
                    self.give(answer)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = any

            def start(self, answer, length=None):
                self.send_response(answer.status)
                for name, value in answer.headers:
                    if name.lower() not in ("content-length", "date", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body) if length is None else length))
                self.end_headers()

            def give(self, answer, length=None, at_most=None):
                self.start(answer, length)
                if self.command != "HEAD":
                    self.write(answer.body[:at_most])

            def write(self, body):
                owner.sent[self.path] = owner.sent.get(self.path, 0) + len(body)
                self.wfile.write(body)

            def cut(self, answer, after):
                """Ends the connection after so many bytes of the body."""
                self.give(answer, at_most=after)
                self.hang_up()

            def hang_up(self):
                self.close_connection = True
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_WR)

        super().__init__(Handler, tls)

    def take_body(self, handler, size):
        return handler.rfile.read(size)

    def forward(self, handler, registry, body):
        connection = http.client.HTTPConnection("127.0.0.1", registry.port)
        headers = {n: v for n, v in handler.headers.items() if n.lower() not in ("host", "expect", "authorization")}
        headers.update({"Host": handler.headers["Host"], "X-Forwarded-Proto": self.scheme})  # it says where it is
        connection.request(handler.command, handler.path, body, headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.getheaders(), answer.read())


def nothing_wrong(handler, answer):
    return True


def is_blob(handler):
    return "/blobs/sha256:" in handler.path and handler.command == "GET"


def is_manifest(handler):
    return "/manifests/" in handler.path


class Scene:
    """A registry that has an image, and the network before it. `program` is registry_client."""

    program = None

    def __init__(self, folder, rule=nothing_wrong, sizes=SIZES, tls=None, push=True):
        self.folder, self.sizes = folder, sizes
        self.made = make_image(folder / "made", sizes)
        self.client = Client(self.program, SECRETS)
        self.registry = Registry(folder)
        self.network = Network(self.registry, rule, tls)
        self.push_first = push
        self.pulls = 0

    def __enter__(self):
        self.registry.__enter__()
        if self.push_first:
            self.client("push", self.folder / "made", f"{self.registry.name}/a:1", options=["--plain", "yes"])
            quiet = self.client("pull", f"{self.registry.name}/a:1", self.folder / "quiet", options=["--plain", "yes"])
            self.most_memory = quiet.peak + MORE_MEMORY
        self.network.__enter__()
        return self

    def __exit__(self, *_):
        self.network.__exit__()
        self.registry.__exit__()

    def pull(self, rule=None, expect=0, options=(), only=None):
        self.network.rule = rule or self.network.rule
        self.network.sent.clear()
        self.network.asked.clear()
        self.pulls += 1
        back = self.folder / f"back{self.pulls}"
        done = self.client("pull", f"{self.network.name}/a:1", back, options=[*(only or HASTY), *options], expect=expect)
        assert self.client.is_sanitized or done.peak < self.most_memory, f"{done.peak} KiB, where {self.most_memory} are allowed"
        if expect == 0:
            assert same_files(self.folder / "made", back), "other bytes"
        else:
            assert not (back / "top").exists()
        return done

    def layer_path(self, number):
        manifest = json.loads((self.folder / "made/top").read_bytes().partition(b"\n")[2])
        return f"/v2/a/blobs/{manifest['layers'][number]['digest']}"


def once(rule, chosen=lambda handler: True, times=1):
    """For the first so many answers that are chosen."""
    left = [times]

    def changed(handler, answer):
        if left[0] == 0 or not chosen(handler):
            return True
        left[0] -= 1
        return rule(handler, answer)
    return changed


def always(rule, chosen):
    return once(rule, chosen, -1)


def status_of(status, body=b"", **headers):
    def rule(handler, answer):
        answer.status, answer.body, answer.headers = status, body, [(n.replace("_", "-"), v) for n, v in headers.items()]
    return rule


class OtherHost(Server):
    """Where a blob is said to be, for whoever has the newest signature."""

    def __init__(self, blobs, cut_after=None, tls=None):
        self.heard = []
        self.valid = 0
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                owner.heard.append(f"{self.command} {self.path}\n{self.headers}")
                name = self.path.split("?")[0].split("/")[-1]
                if f"signature={SIGNATURE}{owner.valid}" not in self.path or name not in blobs:
                    body = f"<Error>{self.path}</Error>".encode()
                    self.send_response(403)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    return self.wfile.write(body)
                owner.valid += 1  # each can be used once
                first = int((self.headers.get("Range") or "bytes=0-")[6:-1])
                body = blobs[name][first:]
                self.send_response(206 if first else 200)
                if first:
                    self.send_header("Content-Range", f"bytes {first}-{len(blobs[name]) - 1}/{len(blobs[name])}")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if cut_after:
                    self.wfile.write(body[:cut_after])
                    self.close_connection = len(body) > cut_after
                else:
                    self.wfile.write(body)

        super().__init__(Handler, tls)


def to_other_host(other, user=""):
    def rule(handler, answer):
        name = handler.path.split(":")[-1]
        answer.status, answer.body = 307, b""
        answer.headers = [("Location", f"http://{user}127.0.0.1:{other.port}/store/{name}?signature={SIGNATURE}{other.valid}&x=%2F")]
    return rule


def basic_login(rule):
    """Demands that everyone logs in."""
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def checked(handler, answer):
        if handler.headers.get("Authorization") != expected:
            return status_of(401, WWW_Authenticate='Basic realm="x"')(handler, answer)
        return rule(handler, answer)
    return checked


class Cutting:
    """Uploads that break off at a random byte, `left` times: what has come goes on to the registry, as one that broke off."""

    def __init__(self, scene):
        self.left, self.scene, self.chance = 0, scene, random.Random(1)

    def __call__(self, handler, size):
        if size < 1000 or not self.left:
            return handler.rfile.read(size)
        self.left -= 1
        part = handler.rfile.read(self.chance.randrange(size))
        with socket.create_connection(("127.0.0.1", self.scene.registry.port)) as broken:
            head = f"{handler.command} {handler.path} HTTP/1.1\r\n"
            head += "".join(f"{n}: {v}\r\n" for n, v in handler.headers.items() if n.lower() != "expect")
            broken.sendall(head.encode() + b"\r\n" + part)
            time.sleep(0.1)
        return None
