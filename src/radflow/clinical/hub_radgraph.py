"""RadGraph's models (radgraph, radgraph-xl, modern-radgraph-xl) as graph readers: several reports in one pass

Jain et al., NeurIPS Datasets 2021; Delbrouck et al., ACL Findings 2024. Needs the radgraph package (extra
hub) and its weights. The package itself reads one report after another, whatever its batch_size says.
"""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
import tempfile
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from radflow.clinical.hub_files import SCORERS_REPOSITORY, hub_folder, is_hub_id, missing_model, pick_device
from radflow.clinical.radgraph_annotations import parse_annotation
from radflow.clinical.radgraph_compat import hide_padding, old_tokenizer_calls
from radflow.clinical.report_graph import ReportGraph
from radflow.clinical.text_batches import alike_batches, distinct_texts
from radflow.errors import ConfigError, ModelError

MODELS = ("radgraph", "radgraph-xl", "modern-radgraph-xl")
MODEL_FILES = ("config.json", "weights.th", "vocabulary")
ENCODER_FILES = ("*.json", "*.txt")
VOCABULARIES = ("tokenizer.json", "vocab.txt")
DEFAULT = "lexicon-graph"


class RadGraphReader:
    """Reads entities and relations with one of RadGraph's models.

    Args:
        model: one of MODELS; its weights only work under their own name.
        source: folder that holds config.json, weights.th and vocabulary/ (or a folder of such folders, named
            as the models), or a hub id, from which they are then fetched. Default: the package's own cache.
        encoder: folder with config and vocabulary of the model's text encoder; default: what the model's
            config.json names, from the local cache (fetched when source is a hub id).
        device: auto, cpu, cuda, cuda:1; the package knows no other.
        batch_size: reports in one pass; alike lengths go together.

    Raises:
        ModelError: the package, the weights or the encoder's files are missing.
    """

    def __init__(
        self,
        model: str,
        *,
        source: str | Path | None = None,
        encoder: str | Path | None = None,
        device: str = "auto",
        batch_size: int = 8,
    ) -> None:
        if model not in MODELS:
            raise ConfigError(f"unknown RadGraph model {model!r}", next_step=f"Known: {', '.join(MODELS)}.")
        self.model, self.batch_size, self.device = model, batch_size, pick_device(device)
        package = _import_radgraph()
        folder = find_model_folder(model, source, Path(package.radgraph.CACHE_DIR))
        encoder_folder = _find_encoder(folder, encoder, download=is_hub_id(source))
        self._reader = _construct(package, model, folder, encoder_folder, self.device)
        hide_padding(self._reader.model)
        if _links_sentences(self._reader.model):
            self.batch_size = 1

    def read(self, texts: Sequence[str]) -> list[ReportGraph]:
        """The graph of each text; an empty one where there is no word (the package would read "None")."""
        distinct, places = distinct_texts(texts)
        tokens = [self._tokens(text) for text in distinct]
        graphs = [ReportGraph()] * len(distinct)
        readable = [place for place, words in enumerate(tokens) if words]
        for batch in alike_batches([len(tokens[place]) for place in readable], self.batch_size):
            chosen = [readable[number] for number in batch]
            for place, graph in zip(chosen, self._annotate([tokens[place] for place in chosen]), strict=True):
                graphs[place] = graph
        return [graphs[place] for place in places]

    def _tokens(self, text: str) -> list[str]:
        from radgraph.utils import preprocess_reports

        tokens: list[str] = preprocess_reports([text], self.model)[0]["sentences"][0]
        return tokens

    def _annotate(self, reports: list[list[str]]) -> list[ReportGraph]:
        """Reports go through the model as the sentences of one document, which it encodes side by side."""
        import torch
        from radgraph.allennlp.data.dataloader import PyTorchDataLoader
        from radgraph.allennlp.data.dataset_readers import AllennlpDataset
        from radgraph.utils import batch_to_device, get_entity

        document = {"doc_key": "0", "sentences": reports, "dataset": self.model}
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # of reports with a single word, which are read like any other
            dataset = AllennlpDataset([self._reader.reader.text_to_instance(document)])
            dataset.index_with(self._reader.model.vocab)
            (batch,) = PyTorchDataLoader(batch_size=1, dataset=dataset)
            output = self._reader.model(**batch_to_device(batch, self._reader.device))
            result = self._reader.model.make_output_human_readable(output).to_json()
        graphs, offset = [], 0
        for number, words in enumerate(reports):  # spans count from the start of the document
            entities = [[s - offset, e - offset, *rest] for s, e, *rest in result["predicted_ner"][number]]
            relations = [
                [*(index - offset for index in relation[:4]), *relation[4:]]
                for relation in result["predicted_relations"][number]
            ]
            graphs.append(parse_annotation({"entities": get_entity(entities, relations, words)}))
            offset += len(words)
        return graphs


RADGRAPH = partial(RadGraphReader, "radgraph")
RADGRAPH_XL = partial(RadGraphReader, "radgraph-xl")
MODERN_RADGRAPH_XL = partial(RadGraphReader, "modern-radgraph-xl")


def _import_radgraph() -> Any:
    try:
        with warnings.catch_warnings():  # it changes the filters of the whole process
            import radgraph
    except ImportError as error:
        raise missing_model(
            f"the package {error.name or 'radgraph'}",
            looked=["the installed packages"],
            get="Install it: pip install 'radflow[hub]'",
            default=DEFAULT,
        ) from None
    return radgraph


def find_model_folder(model: str, source: str | Path | None, cache: Path) -> Path:
    """The folder with a model's files that a setting names, else the package's cache; see `RadGraphReader`.

    Raises:
        ModelError: it isn't there, or not complete.
    """
    looked: list[object] = []
    if is_hub_id(source):
        looked += [f"the folder {source}", f"the hub repository {source}"]
        archive = hub_folder(str(source), [f"{model}.tar.gz"], download=True)
        if not _is_model(cache / model) and archive and (archive / f"{model}.tar.gz").is_file():
            _unpack(archive / f"{model}.tar.gz", cache / model)
        places = [cache / model]
    else:
        root = cache if source is None else Path(source).expanduser()
        places = [root / model] if source is None else [root, root / model]
    for place in places:
        if _is_model(place):
            return place
        looked.append(place)
    raise missing_model(
        f"the model {model} ({', '.join(MODEL_FILES)})",
        looked=looked,
        get=f"Fetch {model}.tar.gz from the hub repository {SCORERS_REPOSITORY}, unpack it into a folder and "
        f"give that as source, or give {SCORERS_REPOSITORY} itself as source to have it fetched "
        "(docs/hub_models.md).",
        default=DEFAULT,
    )


def _is_model(folder: Path) -> bool:
    return all((folder / name).exists() for name in MODEL_FILES)


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack whole or not at all; members that would land outside the folder are refused."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        try:
            with tarfile.open(archive, "r:gz") as tar:
                tar.extractall(Path(scratch) / "model", filter="data")
        except (tarfile.TarError, OSError) as error:
            raise ModelError(
                f"the archive can't be unpacked ({type(error).__name__})", where=str(archive)
            ) from None
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()  # the package leaves an empty one after a failed download
        (Path(scratch) / "model").rename(folder)


def _encoder_of(folder: Path) -> dict[str, Any]:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    encoder: dict[str, Any] = config["model"]["embedder"]["token_embedders"]["bert"]
    return encoder


def _find_encoder(folder: Path, setting: str | Path | None, *, download: bool) -> Path:
    name = str(setting or _encoder_of(folder)["model_name"])
    place = Path(name).expanduser()
    found = place if place.is_dir() else None
    if found is None:
        found = hub_folder(name, ENCODER_FILES, download=download or is_hub_id(setting))
    # Where it finds no vocabulary, transformers 5 makes a tokenizer of special tokens only, without a word.
    if found is None or not any((found / file).is_file() for file in VOCABULARIES):
        raise missing_model(
            f"the text encoder {name} (config and vocabulary only) of this RadGraph model",
            looked=[place, f"the local cache of {name}"],
            get="Fetch its *.json and *.txt files into a folder and give that as encoder.",
            default=DEFAULT,
        )
    return found


def _construct(package: Any, model: str, folder: Path, encoder: Path, device: str) -> Any:
    """It finds models by folder name and encoders by hub name, so it is shown a folder made for it."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["model"]["embedder"]["token_embedders"]["bert"]["model_name"] = str(encoder.resolve())
    config["dataset_reader"]["token_indexers"]["bert"]["model_name"] = str(encoder.resolve())
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda"):
        raise ModelError("the radgraph package runs on cpu and cuda only", where=f"device {device}")
    with tempfile.TemporaryDirectory() as scratch:
        shown = Path(scratch) / model
        shown.mkdir()
        for name in ("weights.th", "vocabulary"):
            (shown / name).symlink_to((folder / name).resolve())
        (shown / "config.json").write_text(json.dumps(config), encoding="utf-8")
        cuda = int(number or 0) if kind == "cuda" else -1
        try:
            with old_tokenizer_calls(), contextlib.redirect_stdout(io.StringIO()):  # it prints
                # model_type, not model as its README says: it ignores that and takes radgraph-xl.
                return package.RadGraph(model_type=model, model_cache_dir=scratch, cuda=cuda)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(
                f"the radgraph package can't load these files ({type(error).__name__})",
                where=str(folder),
                next_step="They belong to another model or version: fetch them afresh (docs/hub_models.md).",
            ) from error


def _links_sentences(model: Any) -> bool:
    """Whether coreference runs: it would link the reports of a pass. The published models have it off."""
    return bool(model._loss_weights.get("coref", 0) > 0 or model._coref.coref_prop > 0)
