"""What disagrees within one report, numbered: where it stands in both sections, and a bridge between them"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from radflow.records import Conflict, ConflictKind, Consistency, Report

SAID: dict[ConflictKind, str] = {
    "contradicted": "said in one section, denied in the other",
    "unsupported": "in the Impression only",
    "critical_omitted": "critical, left out of the Impression",
    "side_or_severity_conflict": "other side or severity",
}


@dataclass(frozen=True)
class Outline:
    """Words of a text that belong to a problem.

    Attributes:
        start, end: character span in the whole text.
        number: of the problem, from 1.
    """

    start: int
    end: int
    number: int
    title: str


@dataclass(frozen=True)
class Drawn:
    """The problems of a report as they are drawn into its text.

    Attributes:
        place: where the bridge stands: behind the first of the two sections.
        bridge: the problems, each with arrows to the sections that show it; ``None`` without any.
    """

    outlines: tuple[Outline, ...] = ()
    place: int = 0
    bridge: Markup | None = None


def drawn_conflicts(report: Report, found: Consistency) -> Drawn:
    """Outlines and bridge of a report's problems; a section that its text doesn't hold as it is gets none."""
    if not found.problems:
        return Drawn()
    findings, impression = _section(report, report.findings), _section(report, report.impression)
    outlines = []
    for number, problem in enumerate(found.problems, 1):
        title = explained(problem)
        for section, span in ((findings, problem.findings_span), (impression, problem.impression_span)):
            if section is not None and span is not None:
                outlines.append(Outline(section[0] + span[0], section[0] + span[1], number, title))
    ends = [section[1] for section in (findings, impression) if section is not None]
    place = min(ends, default=len(report.text))
    while place < len(report.text) and report.text[place].isspace():
        place += 1  # a line's end stands before the bridge, else it would leave an empty line behind it
    is_turned = findings is not None and impression is not None and findings[0] > impression[0]
    lines = [_line(number, problem, is_turned) for number, problem in enumerate(found.problems, 1)]
    bridge = Markup('<span class="bridge">{}</span>').format(Markup("").join(lines))
    return Drawn(tuple(outlines), place, bridge)


def explained(problem: Conflict) -> str:
    """``Pneumothorax: said in one section, denied in the other``."""
    return f"{problem.label}: {SAID[problem.kind]}"


def _section(report: Report, body: str | None) -> tuple[int, int] | None:
    """Where a section's body stands in the text; the last time, as of repeated sections the last counts."""
    start = -1 if not body else report.text.rfind(body)
    return None if start < 0 or body is None else (start, start + len(body))


def _line(number: int, problem: Conflict, is_turned: bool) -> Markup:
    above, below = problem.findings_span, problem.impression_span
    if is_turned:
        above, below = below, above
    arrows = ("↑" if above else "") + ("↓" if below else "")
    return Markup('<span class="problem"><b>{}</b> <span aria-hidden="true">{}</span> {}</span>').format(
        number, arrows, explained(problem)
    )
