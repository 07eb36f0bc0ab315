"""A finished run -> one self-contained HTML page: one script of ours, and nothing that a browser fetches.

Jinja2 escapes whatever isn't Markup, and the page's own content policy forbids every request and every script
but ours, which it knows by its hash, so that hostile text in a report stays text.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files as files_of

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from radflow.clinical.labeler import RuleLabeler
from radflow.reporting.audit_section import audit_section
from radflow.reporting.cases import build_cases
from radflow.reporting.consistency_section import consistency_section
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
        consistency_section(files),
        losses_section(files),
        exploration_section(files, labeler),
        rewards_section(files),
        clip_section(files),
        signatures_section(files),
        audit_section(files),
    ]
    script = case_script() if cases else None
    return page_template("report.html.jinja").render(
        name=files.name,
        research_use=RESEARCH_USE,
        patient_data=None if source_of(files) == "phantoms" else PATIENT_DATA,
        tiles=tiles(files),
        sections=sections,
        cases=build_cases(files, labeler, count=cases) if cases else None,
        script=script,
        script_hash=None if script is None else content_hash(script),
        provenance=provenance_section(files),
    )


def case_script() -> Markup:
    """The script that chooses and orders cases, as it stands between its tags."""
    return Markup(files_of("radflow.reporting").joinpath("templates", "cases.js").read_text(encoding="utf-8"))


def content_hash(text: str) -> str:
    """As a content policy names a script: base64 of its SHA-256."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def page_template(name: str) -> Template:
    """One of the pages that are files."""
    return templates_in("radflow.reporting").get_template(name)


def templates_in(package: str) -> Environment:
    """A package's templates; they escape whatever isn't Markup, and fail on a name that isn't given."""
    return Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
