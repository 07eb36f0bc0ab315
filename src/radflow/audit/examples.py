"""What each kind of change does to a report of our own, made by the same functions as in every audit"""

from __future__ import annotations

from radflow.audit.bank import load_bank
from radflow.audit.scoring import as_written
from radflow.audit.variants import KINDS, Variant, variants_of
from radflow.data.sections import parse_report

EXAMPLE = (
    "FINDINGS: There is a small left pleural effusion. Mild atelectasis in the left lower lobe is unchanged. "
    "The tip of the central venous catheter is in the SVC. The heart is normal in size. "
    "There is no pneumothorax. A granuloma is seen on the right.\n"
    "IMPRESSION: Small left effusion, stable. The catheter is in good position."
)
"""Made up."""
SHOWN = 90


def example_of(kind: str) -> str:
    """Before and after, of the first change; a dash where the example has no room for it."""
    report = as_written(parse_report(EXAMPLE))
    made = [one for one in variants_of(report, load_bank(), seed=0, study_id="example") if one.kind == kind]
    return _shown(made[0]) if made else "-"


def examples() -> dict[str, str]:
    """By kind."""
    return {kind: example_of(kind) for kind in KINDS}


def _shown(variant: Variant) -> str:
    edit = variant.changes[0]
    old, new = _cut(edit.old), _cut(edit.new)
    if not old:
        return f"+ {new}"
    return f"{old} → {new or '(gone)'}"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
