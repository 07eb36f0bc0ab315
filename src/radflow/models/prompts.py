"""What the model is shown and what it must write: chat messages for a study, and the target text."""

from __future__ import annotations

from typing import Any

from radflow.config import ModelConfig
from radflow.data.sections import render_report
from radflow.records import Report, Study

Messages = list[dict[str, Any]]


def prompt_messages(study: Study, config: ModelConfig) -> Messages:
    """One user turn: the study's images in order, then the instruction and the optional clinical text."""
    lines = [config.prompt]
    if config.show_indication and study.indication:
        lines.append(f"Indication: {study.indication}")
    if config.show_comparison and study.comparison:
        lines.append(f"Comparison: {study.comparison}")
    if config.show_previous and study.previous:
        lines.append(f"Previous report: {' '.join(study.previous.split())}")
    content: Messages = [{"type": "image"} for _ in study.images]
    content.append({"type": "text", "text": "\n".join(lines)})
    return [{"role": "user", "content": content}]


def target_text(report: Report) -> str:
    """The reference with explicit headers, so that the policy learns them; the whole text without any."""
    rendered = render_report(findings=report.findings, impression=report.impression)
    return rendered or " ".join(report.text.split())


def completion_messages(report: Report) -> Messages:
    return [{"role": "assistant", "content": [{"type": "text", "text": target_text(report)}]}]
