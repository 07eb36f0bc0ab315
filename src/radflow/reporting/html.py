"""A finished run -> one self-contained HTML page: no script, and nothing that a browser would fetch.

Jinja2 escapes whatever isn't Markup, and the page's own content policy forbids scripts and every request, so
that hostile text in a report stays text.
"""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from radflow.clinical.labeler import RuleLabeler
from radflow.reporting.cases import build_cases
from radflow.reporting.exploration_section import exploration_section
from radflow.reporting.metric_sections import differences_section, metrics_section
from radflow.reporting.overview import provenance_section, source_of, tiles
from radflow.reporting.run_files import RunFiles
from radflow.reporting.training_sections import (
    clip_section,
    losses_section,
    rewards_section,
    signatures_section,
)

RESEARCH_USE = "Research software, not a medical device: nothing here may be used for the care of a patient."
PATIENT_DATA = "This page holds reports and images of studies: treat it as patient data."


def render_report(files: RunFiles, *, cases: int, ontology: str = "chest-xray") -> str:
    """The page as text; the same files give the same text.

    Args:
        cases: how many studies are shown.
        ontology: of the rule labeler that marks texts and counts labels.
    """
    labeler = RuleLabeler(ontology)
    sections = [
        differences_section(files),
        metrics_section(files),
        losses_section(files),
        exploration_section(files, labeler),
        rewards_section(files),
        clip_section(files),
        signatures_section(files),
    ]
    return page_template("report.html.jinja").render(
        name=files.name,
        research_use=RESEARCH_USE,
        patient_data=None if source_of(files) == "phantoms" else PATIENT_DATA,
        tiles=tiles(files),
        sections=sections,
        cases=build_cases(files, labeler, count=cases) if cases else None,
        provenance=provenance_section(files),
    )


def page_template(name: str) -> Template:
    """A template that escapes whatever isn't Markup, and fails on a name that isn't given."""
    return Environment(
        loader=PackageLoader("radflow.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    ).get_template(name)
