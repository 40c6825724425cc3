#!/usr/bin/env python3
"""Layouts and archives, written by strata and read by skopeo, umoci and podman, and the other way round.

  transports.py COPY_IMAGE

The same image must have the same manifest digest in every OCI form, and the same config in every docker one.
"""
import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

COPY = sys.argv[1]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"


def run(*command, fails=False):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if (done.returncode != 0) != fails:
        sys.exit(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stderr if fails else done.stdout.strip()


def copy(source, sink):
    return run(COPY, source, sink)


def skopeo(*words):
    return run("skopeo", "--insecure-policy", *words)


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid, entry.gid = len(content), 0o644, os.getuid(), os.getgid()
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


FILES = [{"a": b"a" * 100000, "both": b"lower"}, {"b": os.urandom(300000), "both": b"upper"}]


def make_layout(path, tag):
    """A layout of one image, by nobody's code but this script's."""
    blobs = path / "blobs/sha256"
    blobs.mkdir(parents=True)

    def add(data, media_type):
        blobs.joinpath(sha256(data)[7:]).write_bytes(data)
        return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}

    tars = [layer(files) for files in FILES]
    config = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/a"]},
              "rootfs": {"type": "layers", "diff_ids": [sha256(tar) for tar in tars]},
              "history": [{"created_by": "one"}, {"created_by": "two"}]}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                "config": add(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
                "layers": [add(gzip.compress(tar, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip") for tar in tars]}
    top = add(json.dumps(manifest).encode(), MANIFEST) | {"annotations": {REF_NAME: tag}}
    path.joinpath("oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    path.joinpath("index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    return top["digest"], manifest["config"]["digest"], config["rootfs"]["diff_ids"]


def digest_by_skopeo(name):
    return sha256(run_bytes("skopeo", "inspect", "--raw", name))


def run_bytes(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def config_by_skopeo(name):
    return sha256(run_bytes("skopeo", "inspect", "--config", "--raw", name))


def config_by_strata(name, folder):
    copy(name, f"oci:{folder}:x")
    index = json.loads((folder / "index.json").read_text())
    digest = index["manifests"][0]["digest"]
    return json.loads((folder / "blobs/sha256" / digest[7:]).read_text())["config"]["digest"]


def check(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: {got} instead of {wanted}")
    print(f"{what}: the same")


def oci_forms(folder, source, top):
    for writer, write in (("strata", copy), ("skopeo", lambda a, b: skopeo("copy", "-q", a, b))):
        for form in ("oci", "oci-archive"):
            name = f"{form}:{folder}/{writer}.{form}:v1"
            write(source, name)
            check(f"{form} by {writer}, read by skopeo", digest_by_skopeo(name), top)
            check(f"{form} by {writer}, read by strata", copy(name, f"oci:{folder}/{writer}.{form}.back:v1"), top)
    # Both write into one layout, in turns, and neither loses an image of the other.
    shared = f"oci:{folder}/shared"
    for number, write in enumerate((copy, lambda a, b: skopeo("copy", "-q", a, b)) * 2):
        write(source, f"{shared}:tag{number}")
    copy(source, f"{shared}:tag0")
    check("a layout that both write to, by strata", copy(f"{shared}:tag0", f"oci:{folder}/back:x"), top)
    check("a layout that both write to, by skopeo", digest_by_skopeo(f"{shared}:tag0"), top)


def docker_forms(folder, source, config, diff_ids):
    for writer, write in (("strata", copy), ("skopeo", lambda a, b: skopeo("copy", "-q", a, b))):
        archive = f"{folder}/{writer}.docker.tar"
        write(source, f"docker-archive:{archive}:example/app:1")
        for name in (f"docker-archive:{archive}", f"docker-archive:{archive}:example/app:1"):
            check(f"docker-archive by {writer}, read by skopeo", config_by_skopeo(name), config)
            back = pathlib.Path(tempfile.mkdtemp(dir=folder)) / "back"
            check(f"docker-archive by {writer}, read by strata", config_by_strata(name, back), config)
        with tarfile.open(archive) as tar:
            (image,) = json.load(tar.extractfile("manifest.json"))
            check(f"tags of {writer}", image["RepoTags"], ["docker.io/example/app:1"])
            check(f"layers of {writer}", [sha256(tar.extractfile(name).read()) for name in image["Layers"]], diff_ids)
    packed = folder / "packed.tar.gz"
    packed.write_bytes(gzip.compress((folder / "strata.docker.tar").read_bytes(), 1))
    said = run(COPY, f"docker-archive:{packed}", f"oci:{folder}/never:x", fails=True)
    if "gunzip" not in said:
        sys.exit(f"a compressed archive: {said}")


def by_umoci(folder, source, top):
    layout = folder / "umoci"
    copy(source, f"oci:{layout}:a")
    check("tags by umoci", run("umoci", "ls", "--layout", layout).split(), ["a"])
    run("umoci", "tag", "--image", f"{layout}:a", "b")
    check("umoci's tag, by strata", copy(f"oci:{layout}:b", f"oci:{folder}/umoci.back:x"), top)
    words = [] if os.geteuid() == 0 else ["--rootless"]
    run("umoci", "unpack", *words, "--image", f"{layout}:b", folder / "bundle")
    for name, content in (FILES[0] | FILES[1]).items():
        check(f"{name} by umoci", (folder / "bundle/rootfs" / name).read_bytes() == content, True)


def by_podman(folder, config):
    """Its own storage, in the folder."""
    place = ["--root", folder / "podman", "--runroot", folder / "run", "--storage-driver", "vfs"]
    run("podman", *place, "load", "-q", "-i", folder / "strata.docker.tar")
    check("what podman loads", run("podman", *place, "image", "inspect", "--format", "{{.Id}}", "example/app:1"),
          config[7:])
    run("podman", *place, "load", "-q", "-i", folder / "strata.oci-archive")
    for form in ("docker-archive", "oci-archive"):
        saved = folder / f"podman.{form}"
        run("podman", *place, "save", "-q", "--format", form, "-o", saved, "docker.io/example/app:1")
        check(f"{form} by podman, read by strata", config_by_strata(f"{form}:{saved}", folder / f"podman.{form}.back"), config)


def is_real_root():
    return os.geteuid() == 0 and pathlib.Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]


def main():
    for program in ("skopeo", "umoci"):
        if not shutil.which(program):
            print(f"skipped: there is no {program}")
            return 77
    with tempfile.TemporaryDirectory(prefix="strata-test-") as name:
        os.environ["TMPDIR"] = name
        folder = pathlib.Path(name)
        top, config, diff_ids = make_layout(folder / "source", "made")
        source = f"oci:{folder}/source:made"
        oci_forms(folder, source, top)
        docker_forms(folder, source, config, diff_ids)
        by_umoci(folder, source, top)
        # A path of more than 50 bytes is too long for podman; in a user namespace it would want one of its own.
        if shutil.which("podman") and is_real_root() and len(f"{folder}/run") <= 50:
            by_podman(folder, config)
        else:
            print("podman isn't there, or can't work here")
    return 0


sys.exit(main())
