"""The studies of a config, for experiments that only read reports: prepare, in a folder of its own"""

from __future__ import annotations

from collections.abc import Sequence

from radflow.config import RunConfig
from radflow.errors import ConfigError, DataError
from radflow.experiments.declaration import Request
from radflow.experiments.runner import bring_up_to_date, remember
from radflow.experiments.sharing import run_folders
from radflow.records import Study
from radflow.run_dir import RunDir


def prepared_studies(name: str, request: Request, seeds: Sequence[int]) -> list[Study]:
    """Studies of all splits, of every seed: phantoms differ with it, a collection is the same for all.

    Raises:
        ConfigError: several seeds of one collection, whose studies would count more than once.
    """
    studies: list[Study] = []
    for seed in seeds:
        config: RunConfig = request.load(seed=seed)
        if config.data.source != "phantoms" and len(seeds) > 1:
            raise ConfigError(
                f"{config.data.source} holds the same studies for every seed",
                where="--seeds",
                next_step="Name one seed, or none.",
            )
        folder = request.out / f"seed-{seed}" / "studies"
        config = config.model_copy(update={"stages": ("prepare",)})
        with RunDir.open(request.out):
            remember(name, request.out)
        bring_up_to_date(config, folder, list(run_folders(request.share)))
        studies += RunDir(folder).read(Study, "studies.jsonl")
    return studies


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
