"""Write for given studies: prepare images, write, check, choose; one bad study costs no other"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from radflow.clinical.consistency import LabelConsistency
from radflow.config import GenerationConfig
from radflow.data.images import fit_within, read_image, write_png
from radflow.data.sections import parse_report
from radflow.data.sources import ImageSource
from radflow.data.views import choose_views
from radflow.delivery.dicom_origin import read_grouping
from radflow.delivery.given import GivenStudy
from radflow.delivery.writing import Author
from radflow.delivery.written import WrittenReport, now
from radflow.errors import ImageError
from radflow.models.generation import generate_batch, plan_batches
from radflow.records import Candidate, Consistency, LeftOut, Report, Study
from radflow.run_dir import fingerprint

CHUNK_BATCHES = 4
"""So many batches are prepared at once: enough to put alike prompts together, few enough to be seen early."""


@dataclass(frozen=True)
class Decoding:
    """How reports are written.

    Attributes:
        batch_size: studies at once.
        max_new_tokens: length limit of a report; ``None`` is the one that the model was evaluated with.
        best_of: candidates of a study, the greedy report included.
        temperature: of the sampled candidates.
        seed: decides what is sampled, for each study by itself.
    """

    batch_size: int = 8
    max_new_tokens: int | None = None
    best_of: int = 1
    temperature: float = 0.7
    seed: int = 0


class Checked(NamedTuple):
    """A candidate with its sections and the verdict on them."""

    candidate: Candidate
    report: Report
    consistency: Consistency

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """Lower is better: finished, both sections there, few problems."""
        lacks = self.consistency.verdict == "not_applicable"  # leaving a section out must not pay
        return not self.candidate.finished, lacks, len(self.consistency.problems)


class ReportWriter:
    """Writes reports with one model and one way of decoding."""

    def __init__(
        self, author: Author, decoding: Decoding, *, ontology: str, allow_missing_preamble: bool = False
    ) -> None:
        self.author = author
        self.decoding = decoding
        self.max_new_tokens = decoding.max_new_tokens or author.settings.max_new_tokens
        self.checker = LabelConsistency(ontology)
        self.allow_missing_preamble = allow_missing_preamble
        self.made_with = _made_with(author, decoding, self.max_new_tokens, ontology)

    def write(self, studies: Sequence[GivenStudy]) -> Iterator[WrittenReport | LeftOut]:
        """Reports, batch by batch as they are done; what can't be used is told with its reason.

        Raises:
            OSError: a disk or the machine failed, which concerns all studies.
        """
        size = self.decoding.batch_size * CHUNK_BATCHES
        for start in range(0, len(studies), size):
            with tempfile.TemporaryDirectory(prefix="radflow-") as folder:  # private to the user
                yield from self._write_chunk(studies[start : start + size], Path(folder))

    def _write_chunk(self, given: Sequence[GivenStudy], folder: Path) -> Iterator[WrittenReport | LeftOut]:
        known = {study.study_id: study for study in given}
        prepared: list[Study] = []
        shown: dict[str, list[int]] = {}
        for number, study in enumerate(given):
            places, left_out = self._prepare(study, folder, number)
            yield from left_out
            if places:
                shown[study.study_id] = places
                prepared.append(_as_study(study, [f"{number}-{place}.png" for place in places]))
        for batch in plan_batches(prepared, self.author.model, self.decoding.batch_size):
            for study_id, found in self._attempt(batch, folder):
                if isinstance(found, LeftOut):
                    yield found
                else:
                    yield self._row(known[study_id], shown[study_id], found)

    def _prepare(self, study: GivenStudy, folder: Path, number: int) -> tuple[list[int], list[LeftOut]]:
        """Which of the study's images were prepared, at most as many as the model was trained on."""
        places: list[int] = []
        left_out: list[LeftOut] = []
        fitting = self._fitting(study)
        if not fitting:
            detail = "the model was trained on frontal views only"
            left_out.append(LeftOut(study_id=study.study_id, reason="no_frontal_view", detail=detail))
        for place in fitting:
            image = study.images[place]
            if len(places) == self.author.settings.max_images:
                break
            try:
                pixels = fit_within(self._pixels(image), long_side=self.author.settings.image_long_side)
            except ImageError as error:
                detail = str(error).replace("set data.allow_missing_preamble: true", PREAMBLE_OPTION)
                left_out.append(LeftOut(study_id=study.study_id, reason="unreadable_image", detail=detail))
            else:
                write_png(pixels, folder / f"{number}-{place}.png")
                places.append(place)
        return places, left_out

    def _fitting(self, study: GivenStudy) -> list[int]:
        """Which of the study's images have a view that the model was trained on, in the study's order."""
        places = range(len(study.images))
        if self.author.settings.views == "all":
            return list(places)
        views = [self._view(image) for image in study.images]
        return sorted(choose_views(places, views.__getitem__, frontal_only=True))

    def _view(self, image: ImageSource) -> str:
        """What the header of a DICOM file says; nothing is known of other images."""
        if not isinstance(image, Path):
            return ""
        grouping = read_grouping(image, allow_missing_preamble=self.allow_missing_preamble)
        return grouping.view if grouping else ""

    def _pixels(self, image: ImageSource) -> NDArray[np.uint8]:
        if isinstance(image, Path):
            return read_image(image, allow_missing_preamble=self.allow_missing_preamble)
        return image() if callable(image) else image

    def _attempt(self, batch: Sequence[Study], folder: Path) -> Iterator[tuple[str, Checked | LeftOut]]:
        """The batch; where that fails, each study alone, so that only the one that is to blame is lost."""
        try:
            found: list[tuple[str, Checked | LeftOut]] = list(self._choose(batch, folder))
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 (any model of any family; only the kind is told, as texts may quote the prompt)
            if len(batch) > 1:
                for study in batch:
                    yield from self._attempt([study], folder)
                return
            kind = type(error).__name__
            found = [(batch[0].study_id, LeftOut(study_id=batch[0].study_id, reason="failed", detail=kind))]
        yield from found

    def _choose(self, batch: Sequence[Study], folder: Path) -> Iterator[tuple[str, Checked]]:
        """The greedy report of each study, or the first of its sampled ones that is better."""
        for study, first in zip(batch, self._candidates(batch, folder, temperature=0.0), strict=True):
            best = first
            if self.decoding.best_of > 1 and first.rank > (False, False, 0):
                torch.manual_seed(_seed(self.decoding.seed, study.study_id))
                copies = [study] * (self.decoding.best_of - 1)
                sampled = self._candidates(copies, folder, temperature=self.decoding.temperature)
                best = min((first, *sampled), key=lambda checked: checked.rank)  # of equals the first
            yield study.study_id, best

    def _candidates(self, studies: Sequence[Study], folder: Path, *, temperature: float) -> list[Checked]:
        config = GenerationConfig(
            max_new_tokens=self.max_new_tokens,
            batch_size=self.decoding.batch_size,
            temperature=temperature,
        )
        found: list[Checked] = []
        for start in range(0, len(studies), config.batch_size):
            part = studies[start : start + config.batch_size]
            for candidate in generate_batch(
                self.author.policy, part, self.author.model, config, image_root=folder
            ):
                report = parse_report(candidate.text)
                found.append(Checked(candidate, report, self.checker.check(report)))
        return found

    def _row(self, study: GivenStudy, places: Sequence[int], chosen: Checked) -> WrittenReport:
        report = chosen.report
        return WrittenReport(
            study_id=study.study_id,
            text=report.text,
            findings=report.findings,
            impression=report.impression,
            other=report.other,
            finished=chosen.candidate.finished,
            tokens=chosen.candidate.tokens,
            consistency=chosen.consistency,
            candidates=self.decoding.best_of,
            images=tuple(study.names[place] for place in places),
            left_out=len(study.images) - len(places),
            model=self.author.settings.model,
            made_with=self.made_with,
            inputs=study.digest,
            created=now(),
        )


PREAMBLE_OPTION = "add --allow-missing-preamble"


def _as_study(study: GivenStudy, images: Sequence[str]) -> Study:
    return Study(
        study_id=study.study_id,
        split="test",
        images=tuple(images),
        report=Report(text=""),
        indication=study.indication,
    )


def _seed(seed: int, study_id: str) -> int:
    """Of one study: what is sampled for it depends neither on its company nor on what was done before."""
    digest = hashlib.sha256(f"{seed}\0{study_id}".encode(errors="replace")).digest()
    return int.from_bytes(digest[:7])


def _made_with(author: Author, decoding: Decoding, max_new_tokens: int, ontology: str) -> str:
    settings = author.settings
    decides: Mapping[str, object] = {
        "weights": settings.weights,
        "quantization": author.model.quantization,  # an export of a 4-bit run has whole weights
        "prompt": settings.prompt,
        "show_indication": settings.show_indication,
        "bf16_autocast": settings.bf16_autocast,
        "views": settings.views,
        "image_long_side": settings.image_long_side,
        "max_images": settings.max_images,
        "max_new_tokens": max_new_tokens,
        "best_of": decoding.best_of,
        "sampling": [decoding.temperature, decoding.seed] if decoding.best_of > 1 else None,
        "ontology": Path(ontology).name,
    }
    return fingerprint(decides)
