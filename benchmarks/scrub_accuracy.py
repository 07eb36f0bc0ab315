"""Recall and precision of scrubbing on planted identifiers, and what it changes in Indiana reports

    pip install faker        # invents the names, addresses and numbers; its formats are not ours
    python benchmarks/scrub_accuracy.py [--reports 1000 --seed 0] [--show 20]

Generated phantom reports (English) and sentences of our own (German) get six identifiers each, in sentences
of two sets: those that the rules were written by, and those that were put aside until the rules were done.
Recall is the share of planted identifiers of which no letter or digit is left; precision the share of what
was hidden that touches a planted one. --show prints contexts of what is hidden in Indiana reports: keep them
to yourself.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.criticality import RuleCriticality
from radflow.clinical.label_table import labels_of
from radflow.clinical.labeler import RuleLabeler
from radflow.data.phantoms.chest import make_chest_report
from radflow.data.sections import parse_report, render_report
from radflow.privacy.scrub import Scrubber

DATA = Path(os.environ.get("RADFLOW_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PLANTED = 6
SLOT = re.compile(r"\{(\w+)\}")

WRITTEN_BY = {
    "en": (
        "Comparison is made to {date}.",
        "Discussed with Dr. {name} at {time} on {date}.",
        "MRN: {id}.",
        "Electronically signed by {name}, M.D.",
        "Patient name: {name}.",
        "Accession number {id}.",
        "Please call {phone}.",
        "{age}-year-old patient.",
        "Transferred from {hospital}.",
        "Lives at {address}.",
        "Findings were communicated to {name} by telephone at {time}.",
        "Contact {email}.",
    ),
    "de": (
        "Voraufnahme vom {date}.",
        "Rücksprache mit Dr. {name} um {time} Uhr.",
        "Sehr geehrter Herr {name},",
        "Fall-Nr. {id}.",
        "Tel.: {phone}.",
        "{age}-jähriger Patient.",
        "Wohnhaft {address}.",
        "{hospital}.",
        "Unterzeichnet von {name}.",
        "Kontakt {email}.",
    ),
}
PUT_ASIDE = {
    "en": (
        "Prior study dated {date} was reviewed.",
        "The resident, {name}, was present.",
        "Ref: {name}",
        "Read by {name} and checked again at {time}.",
        "Account #{id} opened {date}.",
        "Next visit {date}.",
        "Results paged to {name} ({phone}).",
        "Aged {age} years, from {address}.",
        "Seen at {hospital} in {date}.",
        "{name} asked for this examination.",
        "Unit number {id}; fax {phone}.",
        "Questions to {email}, {name}.",
    ),
    "de": (
        "Im Vergleich zum {date} unverändert.",
        "Zuweiser: {name}.",
        "Frau {name} wurde um {time} Uhr informiert.",
        "Auftragsnummer: {id}.",
        "Rückfragen unter {phone}.",
        "Der Patient ist {age} Jahre alt.",
        "{name} bat darum.",
        "Aus {address} verlegt.",
        "Verlegt aus {hospital}.",
        "gez. {name}",
    ),
}
NO_LEAD = {"en": {"Ref: {name}", "{name} asked for this examination."}, "de": {"{name} bat darum."}}
"""Names that nothing announces: no rule of this kind can find them."""
BODIES_DE = (
    "Befund: Herz normal groß. Kein Pleuraerguss. Alte Fraktur der 7. Rippe links, 12 mm Rundherd rechts.",
    "Befund: Kleiner Pleuraerguss rechts, 3 cm. Infiltrat im Unterlappen. BWK 12 höhengemindert.",
    "Befund: Pneumothorax links von 2,5 cm. ZVK-Spitze in der VCS, 1.5 cm über der Carina.",
)


def inventors(language: str, seed: int) -> dict[str, Callable[[Random], str]]:
    """Kind -> an invented value."""
    from faker import Faker

    fake = Faker({"en": "en_US", "de": "de_DE"}[language])
    Faker.seed(seed)
    styles = {
        "en": ("%m/%d/%Y", "%B %d, %Y", "%d %b %Y", "%Y-%m-%d", "%m/%d/%y", "%b %Y"),
        "de": ("%d.%m.%Y", "%d.%m.%y", "%Y-%m-%d", "%d.%m."),
    }[language]
    clocks = ("%H:%M", "%I:%M %p") if language == "en" else ("%H:%M",)
    houses = ("Hospital", "Medical Center", "Memorial Hospital")
    if language == "de":
        houses = ("Klinikum", "Krankenhaus", "Universitätsklinikum")
    return {
        "date": lambda dice: fake.date_object().strftime(dice.choice(styles)),
        "time": lambda dice: fake.time(dice.choice(clocks)),
        "name": lambda dice: dice.choice((fake.last_name(), f"{fake.first_name()} {fake.last_name()}")),
        "id": lambda dice: fake.bothify(
            dice.choice(("#######", "??-##-#####", "##########", "?######"))
        ).upper(),
        "phone": lambda dice: fake.phone_number(),
        "email": lambda dice: fake.email(),
        "age": lambda dice: str(dice.randint(90, 104)),
        "address": lambda dice: fake.address().replace("\n", ", "),
        "hospital": lambda dice: (
            f"{fake.last_name()} {dice.choice(houses)}"
            if language == "en"
            else f"{dice.choice(houses)} {fake.city()}"
        ),
    }


def phantom(number: int, seed: int) -> str:
    written = make_chest_report(number, seed=seed)
    return render_report(findings=written.findings, impression=written.impression)


def planted(
    language: str, templates: tuple[str, ...], count: int, seed: int
) -> Iterator[tuple[str, list[Any]]]:
    """Texts with what was planted in them: (start, end, kind, template)."""
    invent, dice = inventors(language, seed), Random(seed)
    for number in range(count):
        body = phantom(number, seed) if language == "en" else dice.choice(BODIES_DE)
        text, spans = body, []
        for template in dice.sample(templates, PLANTED):
            text += "\n"
            for piece in re.split(r"(\{\w+\})", template):
                if match := SLOT.fullmatch(piece):
                    value = invent[match[1]](dice)
                    spans.append((len(text), len(text) + len(value), match[1], template))
                    piece = value
                text += piece
        yield text, spans


def measure(language: str, name: str, templates: tuple[str, ...], count: int, seed: int) -> None:
    scrubber = Scrubber()
    found, of, missed = Counter[str](), Counter[str](), Counter[str]()
    right = wrong = labels = 0
    labeler = RuleLabeler()
    for text, spans in planted(language, templates, count, seed):
        done = scrubber.scrub(text)
        hidden = done.hidden
        if language == "en":
            before, after = (labels_of(labeler.label(one), labeler.ontology) for one in (text, done.text))
            labels += before != after
        gone = {place for one in hidden for place in range(one.start, one.end)}
        for start, end, kind, template in spans:
            kind = f"{kind} without a lead" if template in NO_LEAD[language] else kind
            left = [place for place in range(start, end) if text[place].isalnum() and place not in gone]
            of[kind] += 1
            found[kind] += not left
            missed[template] += bool(left)
        touches = [any(one.start < end and start < one.end for start, end, *_ in spans) for one in hidden]
        right, wrong = right + sum(touches), wrong + len(touches) - sum(touches)
    print(f"\n{language}, {name}: {count} reports, recall {found.total() / of.total():.3f}")
    print(f"  precision {right / (right + wrong):.3f}: {wrong} of {right + wrong} touch nothing planted")
    for kind in sorted(of):
        print(f"  {kind:<22} {found[kind]:>5} of {of[kind]:>5}  {found[kind] / of[kind]:.3f}")
    if language == "en":
        print(f"  reports with other labels after scrubbing: {labels}")
    worst = ", ".join(f"{template!r} {number}" for template, number in missed.most_common(5) if number)
    print(f"  missed most: {worst or 'nothing'}")


def indiana(show: int) -> None:
    """What scrubbing changes in reports that are de-identified already."""
    with (DATA / "iu_xray/indiana_reports.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["findings"] or row["impression"]]
    scrubber, labeler, consistency = Scrubber(), RuleLabeler(), LabelConsistency()
    criticality, known = RuleCriticality(), labeler.ontology
    kinds, contexts = Counter[str](), defaultdict(list)
    changed = labels = verdicts = critical = 0
    seconds = characters = 0.0
    for row in rows:
        parts = ("indication", "comparison", "findings", "impression")
        text = "\n".join(f"{part.upper()}: {row[part]}" for part in parts)
        started = time.process_time()
        done = scrubber.scrub(text)
        seconds += time.process_time() - started
        characters += len(text)
        if not done.hidden:
            continue
        changed += 1
        kinds.update(done.counts)
        for one in done.hidden:
            contexts[one.kind].append(text[max(0, one.start - 40) : one.end + 25].replace("\n", " "))
        before, after = parse_report(text), parse_report(done.text)
        labels += labels_of(labeler.label(before), known) != labels_of(labeler.label(after), known)
        verdicts += consistency.check(before).verdict != consistency.check(after).verdict
        critical += criticality.decide("x", before).is_critical != criticality.decide("x", after).is_critical
    print(f"\nIndiana: {len(rows)} reports, {changed} changed {dict(kinds)}; of the changed ones")
    print(f"  {labels} have other labels, {verdicts} are otherwise consistent, {critical} otherwise critical")
    print(
        f"  {1000 * seconds / len(rows):.2f} ms a report, {characters / seconds / 1000:.0f} characters a ms"
    )
    for kind, where in contexts.items():
        for context in Random(0).sample(where, min(show, len(where))):
            print(f"  {kind:<9} {context}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reports", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=0)
    arguments = parser.parse_args()
    for language in ("en", "de"):
        for name, templates in (("sentences of the rules", WRITTEN_BY), ("sentences put aside", PUT_ASIDE)):
            measure(language, name, templates[language], arguments.reports, arguments.seed)
    if (DATA / "iu_xray").is_dir():
        indiana(arguments.show)


if __name__ == "__main__":
    main()
