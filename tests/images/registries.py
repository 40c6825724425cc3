"""What the scripts here share: a registry of Debian's docker-registry, certificates, a token server, and images."""
import base64
import contextlib
import ctypes
import hashlib
import http.server
import json
import os
import pathlib
import random
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

REGISTRY = shutil.which("docker-registry") or shutil.which("registry")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def skip_without(*programs):
    for program in programs:
        if not (REGISTRY if program == "docker-registry" else shutil.which(program)):
            print(f"skipped: there is no {program} here")
            sys.exit(77)


def free_port():
    """One that the kernel gives to nobody who asks for any: between this look and the registry's, another would get it."""
    while True:
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", random.SystemRandom().randrange(10000, 32000)))
            return probe.getsockname()[1]


def wait_for_port(port, process):
    for _ in range(400):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None:
            raise RuntimeError(f"the registry ended: {process.args}")
        time.sleep(0.05)
    raise RuntimeError("the registry doesn't listen")


def htpasswd(user, password):
    """A line of bcrypt, by libcrypt: what `htpasswd -B` writes, and the only kind that the registry reads."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    salt = "".join("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"[byte & 63] for byte in os.urandom(21)) + "u"
    return f"{user}:{crypt(password.encode(), f'$2y$05${salt}'.encode()).decode()}\n"


def certificate(folder, name, ca=None, purpose="serverAuth"):
    """NAME.crt and NAME.key, signed by `ca` or by itself. Returns their paths."""
    crt, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509" if ca is None else "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
               "-keyout", key, "-out", crt if ca is None else folder / f"{name}.csr", "-subj", f"/CN={name}"]
    if ca is None:
        command += ["-days", "2", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,digitalSignature"]
    subprocess.run(command, check=True, capture_output=True)
    if ca is not None:
        extensions = folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage={purpose}\n")
        subprocess.run(["openssl", "x509", "-req", "-in", folder / f"{name}.csr", "-CA", ca[0], "-CAkey", ca[1], "-CAcreateserial",
                        "-days", "2", "-extfile", extensions, "-out", crt], check=True, capture_output=True)
    return crt, key


class Registry:
    """A registry on a port of its own, until the `with` ends."""

    def __init__(self, folder, auth=None, tls=None, client_ca=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=folder, prefix="registry-"))
        self.port = free_port()
        self.name = f"localhost:{self.port}"
        config = {"version": 0.1, "log": {"level": "error"},
                  "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}, "delete": {"enabled": True}},
                  "http": {"addr": f"127.0.0.1:{self.port}", "secret": "of this test"}}
        if auth:
            config["auth"] = auth
        if tls:
            config["http"]["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
            if client_ca:
                config["http"]["tls"]["clientcas"] = [str(client_ca)]
        (self.folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML

    def __enter__(self):
        self.log = open(self.folder / "log", "w")
        self.process = subprocess.Popen([REGISTRY, "serve", self.folder / "config.yml"], stdout=self.log, stderr=self.log)
        wait_for_port(self.port, self.process)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()


class Server:
    """An HTTP server of a handler class, in threads, until the `with` ends."""

    def __init__(self, handler, tls=None):
        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # a client that goes away is what is tested

        self.server = Quiet(("127.0.0.1", 0), handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.name = f"localhost:{self.port}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def unpadded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer(Server):
    """Signs tokens as docker-registry wants them. `users` have passwords; `refresh` is the one refresh token. Everybody may
    pull, and push who has logged in. Its requests are in `asked`."""

    def __init__(self, folder, users, refresh, lifetime=300, tls=None, issuer="test", delay=0):
        self.signer = certificate(folder, "token-signer")
        self.asked = []
        self.lifetime = lifetime
        self.age = 0  # seconds that a token has when it is given
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, fields, user):
                owner.asked.append((self.command, fields, user))
                time.sleep(delay)
                scopes = [scope for value in fields.get("scope", []) for scope in value.split()]
                access = []
                for scope in scopes:
                    kind, name, actions = scope.split(":")
                    allowed = [a for a in actions.split(",") if a == "pull" or user]
                    access.append({"type": kind, "name": name, "actions": allowed})
                now = int(time.time()) - owner.age
                token = owner.sign({"iss": issuer, "sub": user or "", "aud": fields["service"][0], "exp": now + owner.lifetime,
                                    "nbf": now - 5, "iat": now, "jti": unpadded(os.urandom(8)), "access": access})
                self.send(200, {"token": token, "expires_in": owner.lifetime})

            def send(self, status, document):
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                fields = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                login = self.headers.get("Authorization")
                if login is None:
                    return self.answer(fields, None)
                user, _, password = base64.b64decode(login.split()[1]).decode().partition(":")
                if users.get(user) != password:
                    # A server that repeats what it was told: no message may show it.
                    return self.send(401, {"details": f"{user} has another password than {password} ({login})"})
                self.answer(fields, user)

            def do_POST(self):
                fields = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                if fields.get("grant_type") != ["refresh_token"] or fields.get("refresh_token") != [refresh]:
                    return self.send(401, {"error": "invalid_grant", "error_description": f"no {fields.get('refresh_token')}"})
                self.answer(fields, "refreshed")

        super().__init__(Handler, tls)
        scheme = "https" if tls else "http"
        self.auth = {"token": {"realm": f"{scheme}://{self.name}/token", "service": "the registry", "issuer": issuer,
                               "rootcertbundle": str(self.signer[0])}}

    def sign(self, claims):
        der = ssl.PEM_cert_to_DER_cert(self.signer[0].read_text())
        header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        signed = f"{unpadded(json.dumps(header).encode())}.{unpadded(json.dumps(claims).encode())}"
        der = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.signer[1]], input=signed.encode(), capture_output=True,
                             check=True).stdout
        # Two integers of DER, of up to 33 bytes, as 32 bytes each.
        size_r = der[3]
        r, s = der[4:4 + size_r], der[6 + size_r:]
        return f"{signed}.{unpadded(r.lstrip(bytes(1)).rjust(32, bytes(1)) + s.lstrip(bytes(1)).rjust(32, bytes(1)))}"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def descriptor(kind, data, **more):
    return {"mediaType": kind, "digest": digest(data), "size": len(data), **more}


def document(content):
    return json.dumps(content).encode()


def make_image(folder, sizes, seed=0, **more):
    """A folder as registry_client has it: layers of these many bytes, which are no tars (nothing here looks into them).
    Returns the manifest's digest."""
    folder.mkdir(exist_ok=True)
    blobs = [hashlib.shake_128(f"{seed} {number}".encode()).digest(size) for number, size in enumerate(sizes)]
    config = document({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [digest(b) for b in blobs]}})
    manifest = document({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config),
                         "layers": [descriptor(LAYER, blob) for blob in blobs], **more})
    for data in [*blobs, config, manifest]:
        (folder / digest(data)[7:]).write_bytes(data)
    (folder / "top").write_bytes(MANIFEST.encode() + b"\n" + manifest)
    return digest(manifest)


def make_index(folder, images):
    """An index of images in folders, in a folder that has all."""
    folder.mkdir(exist_ok=True)
    manifests = []
    for number, image in enumerate(images):
        for file in image.iterdir():
            if file.name != "top":
                shutil.copy(file, folder)
        data = (image / "top").read_bytes().partition(b"\n")[2]
        manifests.append(descriptor(MANIFEST, data, platform={"os": "linux", "architecture": ["amd64", "arm64"][number % 2]}))
    index = document({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
    (folder / digest(index)[7:]).write_bytes(index)
    (folder / "top").write_bytes(INDEX.encode() + b"\n" + index)
    return digest(index)


def same_files(one, other):
    return {f.name: f.read_bytes() for f in one.iterdir()} == {f.name: f.read_bytes() for f in other.iterdir()}


class Client:
    """registry_client, and what it may not say: every secret that a test uses is looked for in all that it prints."""

    def __init__(self, program, secrets=(), environment=None):
        self.program = program
        self.is_sanitized = any(name in open(program, "rb").read() for name in (b"__asan_init", b"__tsan_init"))
        self.secrets = [form for secret in secrets for form in (secret, base64.b64encode(secret.encode()).decode())]
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        self.environment = {**kept, **(environment or {})}

    def __call__(self, *words, expect=0, options=(), timeout=120):
        command = [self.program, *(str(word) for word in options), *(str(word) for word in words)]
        done = subprocess.run(command, capture_output=True, text=True, errors="backslashreplace", env=self.environment, timeout=timeout)
        done.said = done.stdout + done.stderr
        for secret in self.secrets:
            assert secret not in done.said, f"a secret is told: {done.said}"
        assert done.returncode == expect, f"{command} ended with {done.returncode}, not {expect}:\n{done.said}"
        errors = [line for line in done.stderr.splitlines() if not line.startswith("retry: ")]
        assert len(errors) == (1 if expect else 0) and all("cannot " in error for error in errors), f"{command}:\n{done.stderr}"
        numbers = done.stdout.splitlines()[-1].split()
        done.peak, done.late = int(numbers[1]), int(numbers[3])
        return done


@contextlib.contextmanager
def scratch():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="strata-images-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def run_cases(cases, only):
    """Runs functions, by name; returns the exit status."""
    failed = []
    for case in cases:
        if only and case.__name__ not in only:
            continue
        start = time.monotonic()
        try:
            case()
            print(f"ok      {case.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
        except Exception as error:  # noqa: each case is told, whatever ended it
            failed.append(case.__name__)
            import traceback
            print(f"FAILED  {case.__name__}: {error}", flush=True)
            traceback.print_exc()
    if failed:
        print("failed:", ", ".join(failed))
    return 1 if failed else 0
