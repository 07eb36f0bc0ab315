"""Measure how reports are worded: lengths, repetition, boilerplate, missing sections.

Usage:
    python benchmarks/report_statistics.py REPORTS.csv      # columns findings, impression
    python benchmarks/report_statistics.py REPORTS.jsonl    # keys findings, impression (null when missing)
    python benchmarks/report_statistics.py --phantoms 3851 --seed 0

Two files (or a file and --phantoms) are printed side by side, so that a writer of synthetic reports can be
compared with the reports it imitates. Only aggregates are printed, never report text.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

Row = tuple[str | None, str | None]
"""(findings, impression); ``None`` for a missing section."""

NORMAL = re.compile(
    r"\bno (?:evidence (?:of|for) )?(?:acute|active|significant)\b"
    r"|\b(?:normal|negative|clear|unremarkable)\b",
    re.IGNORECASE,
)
"""Words of a normal impression; only impressions of at most ``NORMAL_WORDS`` words count as normal."""
NORMAL_WORDS = 12


def read_rows(path: Path) -> list[Row]:
    """Sections of every report of a CSV or JSON-lines file; blank and "None." sections count as missing."""
    with path.open(encoding="utf-8", newline="") as stream:
        records: Iterable[dict[str, object]]
        records = csv.DictReader(stream) if path.suffix == ".csv" else map(json.loads, stream)
        return [(section(record.get("findings")), section(record.get("impression"))) for record in records]


def section(value: object) -> str | None:
    text = str(value or "").strip()
    return None if text.lower() in {"", "none", "none.", "nan"} else text


def phantom_rows(count: int, *, seed: int) -> list[Row]:
    from radflow.data.phantoms.chest import make_chest_report

    reports = (make_chest_report(index, seed=seed) for index in range(count))
    return [(report.findings, report.impression) for report in reports]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+(?:['/-][a-z0-9]+)*", text.lower())


def sentences(text: str) -> list[str]:
    """Sentences in lower case; a list number ("2.") is not one."""
    parts = re.split(r"(?<=[.!?])\s+|\n+", text)
    plain = (" ".join(words(part)) for part in parts)
    return [part for part in plain if part and not part.isdigit()]


def quartiles(values: Sequence[int]) -> str:
    ordered = sorted(values)
    return " / ".join(str(ordered[round(q * (len(ordered) - 1))]) for q in (0.25, 0.5, 0.75))


def share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def repeated(texts: Sequence[str]) -> str:
    """Share of texts that occur more than once."""
    counts = Counter(texts)
    return share(sum(n for n in counts.values() if n > 1), len(texts))


def statistics(rows: Sequence[Row]) -> dict[str, str]:
    findings = [f for f, _ in rows if f is not None]
    impressions = [i for _, i in rows if i is not None]
    found = [s for text in findings for s in sentences(text)]
    counts = Counter(found)
    tokens = [w for text in findings for w in words(text)]
    head = [w for text in findings[:1000] for w in words(text)]
    normal = [i for i in impressions if NORMAL.search(i) and len(words(i)) <= NORMAL_WORDS]
    return {
        "reports": str(len(rows)),
        "findings missing": share(len(rows) - len(findings), len(rows)),
        "impression missing": share(len(rows) - len(impressions), len(rows)),
        "words per findings (quartiles)": quartiles([len(words(t)) for t in findings]),
        "words per impression (quartiles)": quartiles([len(words(t)) for t in impressions]),
        "sentences per findings (quartiles)": quartiles([len(sentences(t)) for t in findings]),
        "sentences per impression (quartiles)": quartiles([len(sentences(t)) for t in impressions]),
        "findings with identical text": repeated([" ".join(words(t)) for t in findings]),
        "impressions with identical text": repeated([" ".join(words(t)) for t in impressions]),
        "distinct findings sentences": share(len(counts), len(found)),
        "findings sentences said once": share(sum(n == 1 for n in counts.values()), len(found)),
        "top 10 sentences' share": share(sum(n for _, n in counts.most_common(10)), len(found)),
        "top 100 sentences' share": share(sum(n for _, n in counts.most_common(100)), len(found)),
        "short normal impressions": share(len(normal), len(impressions)),
        "vocabulary of findings (types)": str(len(set(tokens))),
        "types per 100 words, first 1000 findings": f"{100 * len(set(head)) / max(1, len(head)):.2f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="CSV or JSON lines with findings and impression")
    parser.add_argument("--phantoms", type=int, default=0, metavar="N", help="add a column of N phantoms")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    columns = {path.name: statistics(read_rows(path)) for path in arguments.files}
    if arguments.phantoms:
        columns["phantoms"] = statistics(phantom_rows(arguments.phantoms, seed=arguments.seed))
    if not columns:
        parser.error("name at least one file, or --phantoms N")
    print("| statistic | " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name in next(iter(columns.values())):
        print(f"| {name} | " + " | ".join(column[name] for column in columns.values()) + " |")


if __name__ == "__main__":
    main()
