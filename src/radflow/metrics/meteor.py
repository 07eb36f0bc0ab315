"""METEOR 1.5 by the program that pycocoevalcap ships (extra [coco]); it needs a Java runtime

Denkowski and Lavie, WMT 2014. The program aligns the words of a pair; what it counts is stored, and the score
of a study or a set is computed from the counts here, so that intervals need no Java.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import IO

import numpy as np

from radflow.errors import ModelError
from radflow.metrics.declaration import Metric, Pair, Statistics, declared
from radflow.metrics.resampling import Matrix
from radflow.metrics.sums import SumOf

ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
STAGES = np.array([1.0, 0.6, 0.8, 0.6])
"""Weights of exact matches, stems, synonyms and paraphrases: the English parameters of version 1.5."""
NUMBERS = 23


def meteor_score(counts: Matrix) -> Matrix:
    """(..., 23) counts as the program prints them -> (...) METEOR in [0, 1].

    Lengths of prediction and reference, how many of those are function words; per stage the content words and
    the function words that match on either side; chunks (0 for texts that match as a whole); matched words of
    either side.
    """
    written, expected, written_function, expected_function = (counts[..., place] for place in range(4))
    stages = counts[..., 4:20].reshape(*counts.shape[:-1], len(STAGES), 4)
    content, function = stages[..., :2], stages[..., 2:]  # each of prediction, reference
    matched = ((DELTA * content + (1 - DELTA) * function) * STAGES[:, None]).sum(axis=-2)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = matched[..., 0] / _weight(written, written_function)
        recall = matched[..., 1] / _weight(expected, expected_function)
        mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
        chunks, found, met = (counts[..., place] for place in (20, 21, 22))
        penalty = GAMMA * (chunks / ((found + met) / 2)) ** BETA
        score = mean * (1 - penalty)
    return np.where((precision > 0) & (recall > 0), score, 0.0)


def _weight(words: Matrix, function_words: Matrix) -> Matrix:
    return DELTA * (words - function_words) + (1 - DELTA) * function_words


class Meteor:
    """Statistics of METEOR, from one Java process that starts when first needed.

    Raises:
        ModelError: Java or the program is missing, or it stopped.
    """

    in_process = True

    def __init__(self) -> None:
        java, package = which("java"), find_spec("pycocoevalcap")
        if package is None:
            raise ModelError(
                "meteor needs the package pycocoevalcap", next_step="pip install 'radflow[coco]'"
            )
        if java is None:
            raise ModelError(
                "meteor needs a Java runtime", next_step="Install one, e.g. apt install default-jre-headless."
            )
        self._jar = Path((package.submodule_search_locations or [""])[0]) / "meteor" / "meteor-1.5.jar"
        self._command = [java, "-Xmx2G", "-jar", str(self._jar), "-", "-", "-stdio", "-l", "en", "-norm"]
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]:
        return [{"meteor": self._count(pair)} for pair in pairs]

    def _count(self, pair: Pair) -> tuple[float, ...]:
        if not pair.prediction.strip():
            # The program stops at an empty line; only the reference's length would count.
            return (0.0, float(len(pair.reference.split())), *(0.0,) * (NUMBERS - 2))
        to, back = self._pipes()
        try:
            to.write(f"SCORE ||| {_line(pair.reference)} ||| {_line(pair.prediction)}\n")
            to.flush()
            counts = tuple(float(number) for number in back.readline().split())
        except OSError:
            counts = ()
        if len(counts) != NUMBERS:
            raise ModelError(
                "the METEOR program stopped", where=pair.study_id, next_step=f"Try: java -jar {self._jar}"
            )
        return _without_whole_chunk(counts)

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
        to, back = self._process.stdin, self._process.stdout
        if to is None or back is None:
            raise ModelError("the METEOR program can't be talked to")
        return to, back

    def close(self) -> None:
        """End the Java process."""
        if self._process is not None:
            self._process.kill()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()
            self._process.wait()
            self._process = None

    def __del__(self) -> None:
        if getattr(self, "_process", None) is not None:
            self.close()


def _without_whole_chunk(counts: tuple[float, ...]) -> tuple[float, ...]:
    """The program charges nothing for the one chunk of texts that match from first to last word."""
    is_whole = counts[21] == counts[0] and counts[22] == counts[1] and counts[20] == 1
    return (*counts[:20], 0.0, *counts[21:]) if is_whole else counts


def _line(text: str) -> str:
    """On one line, without the marks that separate fields."""
    return " ".join(text.replace("|||", " ").split()).encode("utf-8", "replace").decode()


METRICS = declared(
    [
        Metric(
            name="meteor",
            title="METEOR",
            family="lexical",
            meaning="Aligned words, stems, synonyms and paraphrases, less a penalty for broken order; of all "
            "counts together.",
            scorers=("radflow.metrics.meteor:Meteor",),
            reads=("meteor",),
            sums=SumOf(meteor_score),
            cost="1 ms",
            citation="Denkowski and Lavie, WMT 2014",
            backend="METEOR 1.5 (Java, pycocoevalcap)",
            package="pycocoevalcap",
        )
    ]
)
