"""The studies of a config, for experiments that only read reports: phantoms without images, or prepare"""

from __future__ import annotations

from collections.abc import Sequence

from radflow.config import RunConfig
from radflow.data.sources.phantoms import read_phantoms
from radflow.errors import ConfigError, DataError
from radflow.experiments.declaration import Request
from radflow.experiments.runner import bring_up_to_date, remember
from radflow.experiments.sharing import run_folders
from radflow.records import LeftOut, Study
from radflow.run_dir import RunDir


def prepared_studies(name: str, request: Request, seeds: Sequence[int]) -> list[Study]:
    """Studies of all splits, of every seed: phantoms differ with it, a collection is the same for all.

    Phantoms are written and not drawn: nobody looks at their images. Anything else is prepared in a folder
    of its own, or taken over from a run that has.

    Raises:
        ConfigError: several seeds of one collection, whose studies would count more than once.
    """
    with RunDir.open(request.out):
        remember(name, request.out)
    studies: list[Study] = []
    for seed in seeds:
        config: RunConfig = request.load(seed=seed)
        if config.data.source == "phantoms":
            studies += _written_phantoms(config, seed)
            continue
        if len(seeds) > 1:
            raise ConfigError(
                f"{config.data.source} holds the same studies for every seed",
                where="--seeds",
                next_step="Name one seed, or none.",
            )
        folder = request.out / f"seed-{seed}" / "studies"
        config = config.model_copy(update={"stages": ("prepare",)})
        bring_up_to_date(config, folder, list(run_folders(request.share)))
        studies += RunDir(folder).read(Study, "studies.jsonl")
    return studies


def _written_phantoms(config: RunConfig, seed: int) -> list[Study]:
    """The studies that prepare would make, without their images."""
    return [
        Study(
            study_id=study.study_id,
            patient_id=study.patient_id,
            split=study.split,
            images=(),
            report=study.report,
            truth=study.truth,
        )
        for study in read_phantoms(config.data, seed)
        if not isinstance(study, LeftOut) and study.split is not None
    ]


def evaluated(studies: Sequence[Study], config: RunConfig) -> list[Study]:
    """Those that `evaluate` would take: of its split, at most its limit.

    Raises:
        DataError: there are none.
    """
    chosen = [study for study in studies if study.split == config.evaluate.split][: config.evaluate.limit]
    if not chosen:
        raise DataError(
            f"no studies in split {config.evaluate.split}",
            where="evaluate.split",
            next_step="Check data.split, or set evaluate.split.",
        )
    return chosen
