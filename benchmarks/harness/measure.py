"""Runs commands by the clock, and keeps what they took."""
import dataclasses
import os
import pathlib
import resource
import signal
import statistics
import subprocess
import tempfile
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    pass


@dataclasses.dataclass
class Sample:
    """wall, cpu: seconds; cpu is user and system time of all processes. rss: KiB, of the largest single process. None:
    doesn't apply, or isn't known."""
    wall: float
    cpu: float | None = None
    rss: int | None = None


def daemon_cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS  # user and system time, its own and that of children it waited for


def run(command, daemon=None, output=subprocess.DEVNULL, cwd=None):
    """Runs `command`, a list, to its end; what `daemon` (a process id) takes meanwhile counts as well. Throws Failed."""
    if daemon:
        pathlib.Path(f"/proc/{daemon}/clear_refs").write_text("5")  # peak memory begins anew
        before = daemon_cpu(daemon)
    with tempfile.TemporaryFile() as errors:
        start = time.monotonic()
        child = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                                 cwd=cwd, start_new_session=True)
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:  # Ctrl-C: a session of its own doesn't get it
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        wall = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
            raise Failed(f"{' '.join(map(str, command))[:200]}: exit code {child.returncode}: {' '.join(said[-2:])[:300]}")
    sample = Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
    # Until a child calls exec it is this Python, and the kernel counts that: what is less can't be seen.
    if sample.rss <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        sample.rss = None
    if daemon:
        sample.cpu += daemon_cpu(daemon) - before
        lines = pathlib.Path(f"/proc/{daemon}/status").read_text().splitlines()
        sample.rss = max(sample.rss or 0, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM")))
    return sample


def read(command, cwd=None):
    """What a command that isn't timed prints."""
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=cwd)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))[:200]}: {done.stderr.strip()[-300:]}")
    return done.stdout


def floor(command, cwd=None):
    """The lines of a floor program (floors/floor.hpp): name, wall seconds, CPU seconds, what was done."""
    rows = []
    for line in read(command, cwd).splitlines():
        name, wall, user, system, done = line.split("\t")
        rows.append((name, float(wall), float(user) + float(system), int(done)))
    return rows


class Results:
    """Samples by (section, image, name), in the order in which they came; each is written to a file at once."""

    def __init__(self, path):
        self.samples = {}
        self.failures = {}
        self.file = path.open("w")
        print("section", "image", "name", "run", "wall_s", "cpu_s", "peak_kib", "error", sep="\t", file=self.file)

    def add(self, section, image, name, sample=None, error=None):
        key = (section, image, name)
        if error:
            self.failures[key] = str(error)
        else:
            self.samples.setdefault(key, []).append(sample)
        count = len(self.samples.get(key, []))
        shown = ["" if value is None else value for value in
                 ((sample.wall, sample.cpu, sample.rss) if sample else (None, None, None))]
        print(section, image, name, count, *shown, " ".join(str(error or "").split()), sep="\t", file=self.file, flush=True)
        text = f"FAILED: {error}" if error else f"{sample.wall:9.4f} s"
        print(f"  {section:8} {image:18} {name:34} {text}", flush=True)

    def median(self, section, image, name, what="wall"):
        """None: there is no such sample."""
        samples = self.samples.get((section, image, name), [])
        values = [value for sample in samples if (value := getattr(sample, what)) is not None]
        return statistics.median(values) if values else None

    def names(self, section, image):
        return [key[2] for key in self.samples if key[:2] == (section, image)]

    def images(self, section):
        return list(dict.fromkeys(key[1] for key in self.samples if key[0] == section))


