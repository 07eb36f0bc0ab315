"""Label a million reports in one process: does its memory grow?

    python -m tests.soak.labels --reports 1000000 --minutes 60

Two thousand generated reports in turn, each made new by a sentence with its number, so that nothing that
remembers texts can pass for not growing. Stops at the number of reports or after the minutes, whichever comes
first.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.soak.slopes import Watch

MADE = 2000
LOOK_EVERY = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=60)
    options = parser.parse_args()
    from radflow.clinical.label_table import RuleLabels
    from radflow.data.phantoms.chest import make_chest_report

    made = [make_chest_report(number, seed=0) for number in range(MADE)]
    texts = [" ".join(part for part in (one.findings, one.impression) if part) for one in made]
    labels, watch, present, number = RuleLabels(), Watch(), 0, 0
    until = time.monotonic() + 60 * options.minutes
    for number in range(1, options.reports + 1):
        (row,) = labels.label([f"{texts[number % MADE]} Compared with the examination number {number}."])
        present += sum(value == 1 for value in row.values())
        if number % LOOK_EVERY == 0:
            watch.look(reports=number)
            if time.monotonic() > until:
                break
    last = watch.look(reports=number)
    out = [
        f"{number} reports in {last['seconds']:.0f} s ({last['cpu_s']:.0f} s of processor), {present} labels"
    ]
    sys.stdout.write("\n".join([*out, *watch.lines("reports", 100_000)]) + "\n")


if __name__ == "__main__":
    main()
