"""What a run found, as Markdown and as a plot."""
import html
import math
import os
import platform

from . import peers, targets

TITLES = {
    "import": "Import",
    "diff": "Diff of 2,000 changes (fewer on a small image)",
    "export": "Export, uncompressed",
    "verify": "Verify",
    "mount": "Prepare, mount and unmount",
    "pull": "Pull from a registry on this machine",
    "push": "Push to it",
}
STRATA = {"diff": "strata, upper"}  # else "strata"
FLOORS = {"import": "floor", "export": "floor: cat", "verify": "floor: read and xxh3, {cores}", "mount": "floor: classic"}


def markdown(results, runs):
    lines = [f"{os.cpu_count()} cores, Linux {platform.release()}, {distribution()}; medians of {runs}, interleaved.", ""]
    for section, title in TITLES.items():
        images = results.images(section)
        if not images:
            continue
        lines += [f"## {title}", ""]
        for image in images:
            lines += [f"**{image}**", "", *table(results, section, image), ""]
    judged = targets.judge(results)
    if judged:
        lines += ["## Targets", "", "| section | image | target | goal | measured | reached |", "|---|---|---|---|---|---|"]
        lines += [f"| {t.section} | {t.image} | {t.what} | {t.goal} | {t.measured:.2f} | {'yes' if t.reached else '**no**'} |"
                  for t in judged]
        lines.append("")
    if results.images("import"):
        lines += ["## What an import of each did", "", "| | blob's digest | diff id | xattrs | synced |", "|---|---|---|---|---|",
                  "| strata | digested | digested | kept | nothing |", "| strata, durable | digested | digested | kept | all |"]
        lines += [f"| {peer.name} | {peer.did.blob} | {peer.did.diff_id} | {peer.did.xattrs} | {peer.did.sync} |"
                  for peer in peers.ALL if any(peer.name in results.names("import", image) for image in results.images("import"))]
        lines.append("")
    if results.failures:
        lines += ["## Failed", ""] + [f"- {', '.join(key)}: {error}" for key, error in results.failures.items()] + [""]
    return "\n".join(lines)


def table(results, section, image):
    def of(name, what="wall"):
        return results.median(section, image, name, what)

    strata = of(STRATA.get(section, "strata"))
    floor = of(FLOORS.get(section, "").format(cores=targets.threads(os.cpu_count())))
    if section == "mount":
        yield "| | µs | of strata | of the floor |\n|---|---|---|---|"
    else:
        yield "| | wall s | CPU s | peak MiB | of strata | of the floor |\n|---|---|---|---|---|---|"
    for name in results.names(section, image):
        wall, cpu, rss = (of(name, what) for what in ("wall", "cpu", "rss"))
        if section == "mount":
            yield f"| {name} | {wall * 1e6:,.0f} | {ratio(wall, strata)} | {ratio(wall, floor)} |"
        else:
            yield (f"| {name} | {wall:.3f} | {'' if cpu is None else f'{cpu:.3f}'} "
                   f"| {'' if rss is None else f'{rss / 1024:.0f}'} | {ratio(wall, strata)} | {ratio(wall, floor)} |")


def ratio(value, by):
    return f"{value / by:.3g}" if by else ""


def distribution():
    with open("/etc/os-release") as file:
        fields = dict(line.rstrip().split("=", 1) for line in file if "=" in line)
    return fields.get("PRETTY_NAME", "an unknown system").strip('"')


def plot(results):
    """Horizontal bars, a group for each section and image; lengths are relative within a group."""
    label, width, height, gap = 270, 420, 15, 26
    parts, y = [], 10
    for section, title in TITLES.items():
        for image in results.images(section):
            names = [name for name in results.names(section, image) if not name.startswith("floor: ")]
            walls = {name: results.median(section, image, name) for name in names}
            parts.append(f'<text x="10" y="{y + 12}" font-weight="bold">{html.escape(f"{title}: {image}")}</text>')
            y += 18
            for name, wall in sorted(walls.items(), key=lambda item: item[1]):
                colour = "#2a7f62" if name.startswith("strata") else "#888888" if name == "floor" else "#4878a8"
                length = max(1, width * wall / max(walls.values()))
                parts.append(f'<text x="{label - 6}" y="{y + 12}" text-anchor="end">{html.escape(name)}</text>'
                             f'<rect x="{label}" y="{y + 2}" width="{length:.1f}" height="{height - 3}" fill="{colour}"/>'
                             f'<text x="{label + length + 5:.1f}" y="{y + 12}">{seconds(wall)}</text>')
                y += height
            y += gap - height
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{label + width + 90}" height="{y + 5}" '
            f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>\n' +
            "\n".join(parts) + "\n</svg>\n")


def curves(results, titles):
    """A panel for each section, both axes logarithmic: a line that rises by a decade in each is linear, a level one flat."""
    width, height, left, line = 420, 200, 60, 14
    colours = ("#2a7f62", "#4878a8", "#a85448", "#8a6fb0", "#b08a3a")
    parts, top = [], 10
    for section, title in titles.items():
        counts = [int(count) for count in results.images(section)]
        if not counts:
            continue
        names = list(dict.fromkeys(name for count in counts for name in results.names(section, str(count))))
        points = {name: [(count, wall) for count in counts if (wall := results.median(section, str(count), name))]
                  for name in names}
        walls = [wall for line_of in points.values() for _, wall in line_of]
        low, high = math.floor(math.log10(min(walls))), math.ceil(math.log10(max(walls)) + 1e-9)
        span = max(math.log10(max(counts)) - math.log10(min(counts)), 1e-9)

        def place(count, wall):
            return (left + width * (math.log10(count) - math.log10(min(counts))) / span,
                    top + 20 + height * (high - math.log10(wall)) / (high - low))

        parts.append(f'<text x="10" y="{top + 10}" font-weight="bold">{html.escape(title)}</text>')
        for power in range(low, high + 1):
            _, y = place(min(counts), 10.0 ** power)
            parts.append(f'<path d="M{left} {y:.1f}h{width}" stroke="#dddddd"/>'
                         f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{seconds(10.0 ** power)}</text>')
        for count in counts:
            x, _ = place(count, walls[0])
            parts.append(f'<text x="{x:.1f}" y="{top + 20 + height + line}" text-anchor="middle">{count:,}</text>')
        for number, (name, line_of) in enumerate(points.items()):
            colour = colours[number % len(colours)]
            path = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in line_of)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
                         f'<text x="{left + width + 12}" y="{top + 34 + number * line}" fill="{colour}">{html.escape(name)}</text>')
        top += height + 60
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 220}" height="{top}" '
            f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>\n' +
            "\n".join(parts) + "\n</svg>\n")


def seconds(value):
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.1f} ms" if value >= 0.001 else f"{value * 1e6:.0f} µs"
