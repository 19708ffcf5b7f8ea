# SPDX-License-Identifier: BSD-2-Clause
"""Error against time after a disruption, both logarithmic, as an SVG: for each contender
the median over its disruptions and a band from there to the worst."""

import html
import math

PER_DECADE = 16
FIRST_DECADE, LAST_DECADE = -3, 3  # seconds after the disruption
BINS = (LAST_DECADE - FIRST_DECADE) * PER_DECADE
LOW_NS, HIGH_NS = 1, 10  # decades of the error: 10 ns to 10 s
WIDTH, HEIGHT = 800, 520
LEFT, RIGHT, TOP = 66, 16, 46

COLOURS = ("#0a7d36", "#1f6feb", "#8250df", "#b35900", "#cf222e", "#bf3989", "#6e7781")
DARK = ("#3fb950", "#58a6ff", "#bc8cff", "#e3964a", "#ff7b72", "#f778ba", "#9aa4ae")
UNITS = {1: "10 ns", 2: "100 ns", 3: "1 µs", 4: "10 µs", 5: "100 µs", 6: "1 ms", 7: "10 ms", 8: "100 ms",
         9: "1 s", 10: "10 s"}
TIMES = {-3: "1 ms", -2: "10 ms", -1: "100 ms", 0: "1 s", 1: "10 s", 2: "100 s", 3: "1000 s"}


def curve(pairs):
    """The largest error in each bin of time; None where the probe has no reading."""
    bins = [None] * BINS
    for seconds, error_ns in pairs:
        if seconds > 0:
            i = math.floor((math.log10(seconds) - FIRST_DECADE) * PER_DECADE)
            if 0 <= i < BINS:
                bins[i] = max(error_ns, bins[i] or 0)
    return bins


def filled(bins):
    """A bin without a reading takes over the one before (the first ones, the one after):
    nothing else is known."""
    result = []
    last = next((value for value in bins if value is not None), None)
    end = max((i for i, value in enumerate(bins) if value is not None), default=-1)
    for value in bins[:end + 1]:
        last = value if value is not None else last
        result.append(last)
    return result


def summary(curves):
    """(bin, median, worst), as far as all of the disruptions were watched."""
    curves = [filled(bins) for bins in curves]
    result = []
    for i in range(min(map(len, curves))):
        values = sorted(bins[i] for bins in curves)
        result.append((i, values[(len(values) - 1) // 2], values[-1]))
    return result


def x_at(decade):
    return LEFT + (decade - FIRST_DECADE) / (LAST_DECADE - FIRST_DECADE) * (WIDTH - LEFT - RIGHT)


def write(path, contenders, title):
    legend_lines = (len(contenders) + 1) // 2
    bottom = HEIGHT - 58 - 20 * legend_lines

    def y_at(error_ns):
        decade = math.log10(max(error_ns, 10**LOW_NS))
        return bottom - (decade - LOW_NS) / (HIGH_NS - LOW_NS) * (bottom - TOP)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
           f'height="{HEIGHT}" font-family="system-ui, -apple-system, Segoe UI, sans-serif" font-size="13">',
           "<!-- SPDX-License-Identifier: BSD-2-Clause -->", f"<title>{html.escape(title)}</title>", "<style>",
           "rect.back{fill:#fff} text{fill:#1f2328} text.small{fill:#59636e} .grid{stroke:#d1d9e0;stroke-width:1}"]
    dark = ["rect.back{fill:#0d1117} text{fill:#e6edf3} text.small{fill:#9198a1} .grid{stroke:#30363d}"]
    for i, (light, other) in enumerate(zip(COLOURS, DARK)):
        out.append(f".l{i}{{stroke:{light};fill:none;stroke-width:2.2;stroke-linejoin:round}} "
                   f".b{i}{{fill:{light};fill-opacity:.13}}")
        dark.append(f".l{i}{{stroke:{other}}} .b{i}{{fill:{other};fill-opacity:.16}}")
    out += ["@media (prefers-color-scheme: dark){", *dark, "}", "</style>",
            f'<rect class="back" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
            f'<text x="{LEFT}" y="22" font-size="15" font-weight="600">{html.escape(title)}</text>',
            f'<text class="small" x="{LEFT}" y="38" font-size="12">line: median over the disruptions; '
            "shaded: up to the worst</text>"]

    for decade, label in TIMES.items():
        x = x_at(decade)
        anchor = "end" if decade == LAST_DECADE else "middle"
        out.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>')
        out.append(f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="{anchor}">{label}</text>')
    for decade, label in UNITS.items():
        y = y_at(10**decade)
        out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    out.append(f'<text class="small" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{bottom + 35}" text-anchor="middle">'
               "time after the disruption</text>")

    for number, curves in enumerate(contenders.values()):
        steps = summary(curves)
        xs = [x_at(FIRST_DECADE + (i + 0.5) / PER_DECADE) for i, _, _ in steps]
        middle = [f"{x:.1f},{y_at(median):.1f}" for x, (_, median, _) in zip(xs, steps)]
        worst = [f"{x:.1f},{y_at(value):.1f}" for x, (_, _, value) in zip(xs, steps)]
        out.append(f'<polygon class="b{number}" points="{" ".join(worst + middle[::-1])}"/>')
        out.append(f'<polyline class="l{number}" points="{" ".join(middle)}"/>')
    for number, name in enumerate(contenders):
        x = LEFT + number % 2 * (WIDTH - LEFT - RIGHT) / 2
        y = bottom + 58 + 20 * (number // 2)
        out.append(f'<line class="l{number}" x1="{x:.1f}" x2="{x + 24:.1f}" y1="{y - 4}" y2="{y - 4}"/>')
        out.append(f'<text x="{x + 31:.1f}" y="{y}">{html.escape(name)}</text>')
    out.append("</svg>")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n")
