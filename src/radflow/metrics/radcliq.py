"""RadCliQ-v0, RadCliQ-v1 and 1/RadCliQ-v1: published linear models of the errors that radiologists count

Yu et al., Patterns 2023. Constants from rajpurkarlab/CXR-Report-Metric, commit 9c9ecad. Lower is better, and
the value of a text against itself is below 0, so that the inverse of one study means nothing: 1/RadCliQ-v1 is
the inverse of the mean over studies, as on the leaderboard. The name is only for the four published inputs:
anything else has a `composite_name`, which says what it was made from, and doesn't belong beside published
numbers.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np

from radflow.errors import DataError
from radflow.metrics.bertscore_scores import METRICS as BERTSCORES
from radflow.metrics.bleu import METRICS as BLEUS
from radflow.metrics.chexbert_scores import METRICS as SEMBSCORES
from radflow.metrics.declaration import Metric, declared
from radflow.metrics.graph_scores import METRICS as GRAPHS
from radflow.metrics.lexical import smoothed_bleu
from radflow.metrics.resampling import Aggregate, Matrix
from radflow.metrics.statistics import mean_of_rows
from radflow.metrics.sums import Mask, MeanOf

Version = Literal["v0", "v1"]
FEATURES = ("radgraph", "bertscore", "sembscore", "bleu-2")

PUBLISHED_INPUTS: dict[str, str] = {
    "radgraph": "radgraph-mean",
    "bertscore": "bertscore-distilroberta",
    "sembscore": "sembscore",
    "bleu-2": "radcliq-bleu-2",
}
"""The metric that each feature must be for the result to be called RadCliQ."""


@dataclass(frozen=True)
class Linear:
    """Standardise four features, weigh them, add up; each tuple in the order of FEATURES."""

    mean: tuple[float, float, float, float]
    scale: tuple[float, float, float, float]
    weight: tuple[float, float, float, float]
    intercept: float

    def __call__(self, features: Matrix) -> Matrix:
        """(..., 4) features -> (...)."""
        standard = (features - np.array(self.mean)) / np.array(self.scale)
        return np.asarray(standard @ np.array(self.weight) + self.intercept)


MODELS: dict[Version, Linear] = {
    "v0": Linear(
        mean=(0.5398376019082272, 0.6312549595000001, 0.7716797866672277, 0.4607372064809605),
        scale=(0.3018344440559102, 0.22466950746141123, 0.24750333805236252, 0.30336670936092264),
        weight=(-0.4796252644863446, -0.6762170542369337, -0.46366575162, 0.2165861905287535),
        intercept=1.641666666666666,
    ),
    "v1": Linear(
        mean=(0.5379231241355762, 0.6175725628125001, 0.7647942121140658, 0.44738335396242174),
        scale=(0.3028258411486429, 0.22430938459304575, 0.2539439110169773, 0.2989271671041838),
        weight=(-0.37708368261038905, -0.37030009974480316, -0.25261621789593225, 4.315048405e-12),
        intercept=2.466552561e-10,
    ),
}


def radcliq(
    *, radgraph: float, bertscore: float, sembscore: float, bleu_2: float, version: Version = "v1"
) -> float:
    """RadCliQ of one study, or of a set from the means of its features: the model is linear."""
    return float(MODELS[version](np.array([radgraph, bertscore, sembscore, bleu_2])))


def composite_name(version: Version, inputs: Mapping[str, str]) -> str:
    """`radcliq-v1` for the published inputs, else a name that lists the inputs that differ.

    Args:
        inputs: by feature, the name of the metric that it is.

    Raises:
        DataError: not exactly the four features.
    """
    if set(inputs) != set(FEATURES):
        raise DataError(f"a composite needs to know the inputs of {', '.join(FEATURES)}")
    others = [f"{name}={inputs[name]}" for name in FEATURES if inputs[name] != PUBLISHED_INPUTS[name]]
    return f"composite-{version}[{','.join(others)}]" if others else f"radcliq-{version}"


@dataclass(frozen=True)
class InverseOfMean:
    """1 / mean over studies; undefined (NaN) where the mean isn't above 0, as its order is then lost."""

    of: Aggregate
    is_mean: ClassVar[bool] = False

    def rows(self, stored: Matrix) -> Matrix:
        return MeanOf(self.of).rows(stored)

    def scored(self, stored: Matrix) -> Mask:
        return MeanOf(self.of).scored(stored)

    def aggregate(self, sums: Matrix) -> Matrix:
        mean = mean_of_rows(sums)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(mean > 0, 1 / mean, np.nan)

    def key(self) -> Hashable:
        return MeanOf(self.of)


def composites(inputs: Mapping[str, Metric]) -> list[Metric]:
    """Both versions and the inverse of v1, named after what the features are computed with.

    Args:
        inputs: by feature, a metric that is a mean over studies of one number.
    """
    names = {feature: metric.name for feature, metric in inputs.items()}
    features = [inputs[name] for name in FEATURES]
    make = partial(
        Metric,
        family="composite",
        inputs=", ".join(f"{metric.name} ({metric.backend})" for metric in features),
        scorers=tuple(dict.fromkeys(scorer for metric in features for scorer in metric.scorers)),
        reads=tuple(name for metric in features for name in metric.reads),
        citation="Yu et al., Patterns 2023",
        cost="the sum of its inputs'",
        backend=" + ".join(dict.fromkeys(metric.backend for metric in features)),
        package="radgraph",
        low=None,
        high=None,
        direction="lower",
        identical="below 0: -0.24 (v0) and -1.44 (v1) where every feature is 1, higher without relations",
        empty="every feature at its value for an empty text: 5.52 (v0) and 2.45 (v1)",
    )
    return [
        *(
            make(
                name=composite_name(version, names),
                title=composite_name(version, names).replace("radcliq", "RadCliQ"),
                meaning="Estimated number of a radiologist's complaints, linear in its inputs."
                if version == "v0"
                else "Estimated number of a radiologist's complaints, standardised, linear in its inputs.",
                sums=MeanOf(Features(model)),
            )
            for version, model in MODELS.items()
        ),
        make(
            name=f"inverse-{composite_name('v1', names)}",
            title=f"1/{composite_name('v1', names)}".replace("radcliq", "RadCliQ"),
            meaning="The inverse of the mean of v1 over studies, never the mean of inverses.",
            sums=InverseOfMean(Features(MODELS["v1"])),
            direction="higher",
            low=0.0,
            identical="undefined: the mean is below 0",
        ),
    ]


@dataclass(frozen=True)
class Features:
    """The model on statistics as stored: three numbers, then the 10 counts of RadCliQ's BLEU."""

    model: Linear

    def __call__(self, stored: Matrix) -> Matrix:
        bleu = smoothed_bleu(stored[..., 3:], order=2)
        return self.model(np.concatenate([stored[..., :3], bleu[..., None]], axis=-1))


METRICS = declared(
    composites(
        {
            "radgraph": GRAPHS["radgraph-mean"],
            "bertscore": BERTSCORES["bertscore-distilroberta"],
            "sembscore": SEMBSCORES["sembscore"],
            "bleu-2": BLEUS["radcliq-bleu-2"],
        }
    )
)
