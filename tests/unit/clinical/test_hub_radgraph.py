"""RadGraph's package behind our interface: its published outputs parsed, its own code run on a random model.

The published weights were not run; where they are on the machine, the published F1 of six pairs are checked.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.unit.clinical.tiny_radgraph import write_tiny_radgraph

from radflow.clinical.hub_radgraph import MODELS, RadGraphReader, find_model_folder
from radflow.clinical.radgraph_annotations import parse_annotation
from radflow.clinical.radgraph_compat import old_tokenizer_calls
from radflow.clinical.readers import GRAPH_READERS, open_graph_reader
from radflow.clinical.report_graph import GraphEntity, GraphRelation, ReportGraph
from radflow.errors import ConfigError, ModelError
from radflow.metrics.graph_f1 import graph_f1

PRESENT, ABSENT = "Observation::definitely present", "Observation::definitely absent"
ANATOMY = "Anatomy::definitely present"


def entity(tokens: str, label: str, first: int, last: int, *relations: list[str]) -> dict[str, Any]:
    return {"tokens": tokens, "label": label, "start_ix": first, "end_ix": last, "relations": list(relations)}


CHEST_TUBE = {
    "text": "No evidence of pneumothorax following chest tube removal .",
    "entities": {
        "1": entity("pneumothorax", ABSENT, 3, 3),
        "2": entity("chest", ANATOMY, 5, 5),
        "3": entity("tube", PRESENT, 6, 6, ["located_at", "2"]),
    },
    "data_source": None,
    "data_split": "inference",
}
"""The output that the README of radgraph 0.1.18 shows for modern-radgraph-xl."""

HERNIA = {
    "text": "no evidence of acute cardiopulmonary process moderate hiatal hernia",
    "entities": {
        "1": entity("acute", "OBS-DA", 3, 3),
        "2": entity("cardiopulmonary", "ANAT-DP", 4, 4),
        "3": entity("process", "OBS-DA", 5, 5, ["located_at", "2"]),
        "4": entity("moderate", "OBS-DP", 6, 6),
        "5": entity("hiatal", "ANAT-DP", 7, 7),
        "6": entity("hernia", "OBS-DP", 8, 8),
    },
}
"""The first model's output in the tests that radgraph 0.1.18 ships."""

CARINA = {
    "text": "et tube terminates 2 cm above the carina",
    "entities": {
        "1": entity("et tube", PRESENT, 0, 1, ["located_at", "2"]),
        "2": entity("2 cm above", "Anatomy::measurement::definitely present", 3, 5, ["modify", "3"]),
        "3": entity("carina", ANATOMY, 7, 7),
    },
}
"""The beginning of an output of radgraph-xl in the same tests."""


def test_the_documented_output_is_read() -> None:
    assert parse_annotation(CHEST_TUBE) == ReportGraph(
        (
            GraphEntity("pneumothorax", ABSENT, 3, 3),
            GraphEntity("chest", ANATOMY, 5, 5),
            GraphEntity("tube", PRESENT, 6, 6),
        ),
        (GraphRelation("located_at", 2, 1),),
    )


def test_labels_of_the_first_model_are_mapped() -> None:
    graph = parse_annotation(HERNIA)
    assert [each.label for each in graph.entities] == [ABSENT, ANATOMY, ABSENT, PRESENT, ANATOMY, PRESENT]
    assert graph.relations == (GraphRelation("located_at", 2, 1),)


def test_measurements_and_spans_of_several_tokens_are_read() -> None:
    graph = parse_annotation(CARINA)
    assert graph.entities[1] == GraphEntity("2 cm above", "Anatomy::measurement::definitely present", 3, 5)
    assert graph.relations == (GraphRelation("located_at", 0, 1), GraphRelation("modify", 1, 2))


@pytest.mark.parametrize("published", [CHEST_TUBE, HERNIA, CARINA])
def test_published_spans_and_texts_agree(published: dict[str, Any]) -> None:
    """Both ends of a span are inclusive, in whole words of the package's text."""
    words = published["text"].split()
    for each in parse_annotation(published).entities:
        assert " ".join(words[each.start : each.end + 1]) == each.text


def test_identical_texts_score_one_as_the_first_anchor_pair_does() -> None:
    graph = parse_annotation(HERNIA)
    assert graph_f1(reference=graph, prediction=graph) == (1, 1, 1)


def test_published_graphs_compared_by_hand() -> None:
    """Three and six entities; they share none."""
    scores = graph_f1(reference=parse_annotation(CHEST_TUBE), prediction=parse_annotation(HERNIA))
    assert scores == (0, 0, 0)


@pytest.mark.parametrize(
    "annotation",
    [
        {},
        {"entities": {"1": {"tokens": "edema"}}},
        {"entities": {"1": entity("edema", "OBS-XX", 0, 0)}},
        {"entities": {"1": entity("edema", PRESENT, 0, 0, ["near", "1"])}},
        {"entities": {"1": entity("edema", PRESENT, 0, 0, ["modify", "9"])}},
        {"entities": []},
    ],
)
def test_other_shapes_are_refused_without_quoting_the_report(annotation: dict[str, Any]) -> None:
    with pytest.raises(ModelError) as caught:
        parse_annotation(annotation)
    assert "edema" not in str(caught.value)


def test_missing_weights_say_what_where_how_and_the_default(tmp_path: Path) -> None:
    (tmp_path / "radgraph-xl").mkdir()
    (tmp_path / "radgraph-xl" / "config.json").write_text("{}")
    for source in (None, tmp_path):
        with pytest.raises(ModelError) as caught:
            find_model_folder("radgraph-xl", source, tmp_path)
        message = str(caught.value)
        for part in ("weights.th", str(tmp_path / "radgraph-xl"), "radgraph-xl.tar.gz", "'lexicon-graph'"):
            assert part in message


def test_the_package_or_the_weights_are_missing_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ModelError, match=r"is missing[\s\S]*lexicon-graph"):
        open_graph_reader("radgraph", source=tmp_path, device="cpu")


def test_every_model_of_the_package_has_its_name_in_the_registry() -> None:
    assert tuple(name for name in GRAPH_READERS if "radgraph" in name) == MODELS
    with pytest.raises(ConfigError, match="Did you mean radgraph-xl"):
        open_graph_reader("radgraf-xl")
    with pytest.raises(ConfigError, match="echograph"):
        RadGraphReader("echograph")


def packed(archive: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive


def test_a_fetched_archive_is_unpacked_once_and_stays_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, cache = tmp_path / "hub", tmp_path / "cache"
    hub.mkdir()
    monkeypatch.setattr("radflow.clinical.hub_radgraph.hub_folder", lambda *_, **__: hub)
    packed(hub / "radgraph.tar.gz", {"../outside": b"x", "config.json": b"{}"})
    with pytest.raises(ModelError, match="unpacked"):
        find_model_folder("radgraph", "owner/name", cache)
    assert not (tmp_path / "outside").exists()
    assert not list(cache.iterdir())
    packed(hub / "radgraph.tar.gz", {"config.json": b"{}", "weights.th": b"", "vocabulary/labels.txt": b""})
    assert find_model_folder("radgraph", "owner/name", cache) == cache / "radgraph"
    (hub / "radgraph.tar.gz").unlink()
    assert find_model_folder("radgraph", None, cache) == cache / "radgraph"


# ---------------------------------------------------------------- with the radgraph package (extra hub)

REPORTS = (
    "No acute pleural effusion. Heart is enlarged.",
    "",
    "Edema",
    "Left lung opacity, pneumonia in place; tube in place: 2 cm.",
    " \n ",
    "Tube in place.\nNo edema (no effusion).",
    "Heart is enlarged.",
    "No acute pleural effusion. Heart is enlarged.",
)


@pytest.fixture(scope="module", params=MODELS)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    pytest.importorskip("radgraph")
    folder = tmp_path_factory.mktemp("models") / request.param
    folder.mkdir()
    return request.param, write_tiny_radgraph(folder, request.param)


def by_the_package(model: str, folder: Path, texts: tuple[str, ...]) -> list[ReportGraph]:
    """One text after another through the package's own call."""
    from radgraph import RadGraph

    with old_tokenizer_calls():
        package = RadGraph(model_type=model, model_cache_dir=str(folder.parent), cuda=-1)
    return [parse_annotation(package([text])["0"]) if text.strip() else ReportGraph() for text in texts]


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_batches_give_what_the_package_gives_one_by_one(tiny: tuple[str, Path], batch_size: int) -> None:
    model, folder = tiny
    graphs = RadGraphReader(model, source=folder, device="cpu", batch_size=batch_size).read(REPORTS)
    assert graphs == by_the_package(model, folder, REPORTS)
    assert sum(len(graph.entities) for graph in graphs) > 20
    assert sum(len(graph.relations) for graph in graphs) > 5
    assert graphs[1] == graphs[4] == ReportGraph()


def test_reports_longer_than_the_encoder_do_not_change_their_neighbours(tiny: tuple[str, Path]) -> None:
    model, folder = tiny
    texts = (REPORTS[0], "Edema, no tube in place. " * 20, REPORTS[5])
    reader = RadGraphReader(model, source=folder.parent, device="cpu")
    assert reader.read(texts) == by_the_package(model, folder, texts)


def test_coreference_would_link_reports_so_they_go_alone(tmp_path: Path) -> None:
    pytest.importorskip("radgraph")
    folder = tmp_path / "radgraph-xl"
    folder.mkdir()
    write_tiny_radgraph(folder, "radgraph-xl", coref_weight=1)
    assert RadGraphReader("radgraph-xl", source=folder, device="cpu", batch_size=8).batch_size == 1


def test_weights_of_another_model_are_refused(tiny: tuple[str, Path], tmp_path: Path) -> None:
    model, folder = tiny
    config = json.loads((folder / "config.json").read_text())
    config["model"]["feature_size"] = 9
    for name in ("weights.th", "vocabulary"):
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="can't load these files"):
        RadGraphReader(model, source=tmp_path, device="cpu")


def test_a_missing_encoder_is_named(
    tiny: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    model, folder = tiny
    with pytest.raises(ModelError, match="text encoder"):
        RadGraphReader(model, source=folder, encoder=tmp_path / "nowhere", device="cpu")
    (tmp_path / "config.json").write_text((folder / "encoder" / "config.json").read_text())
    with pytest.raises(ModelError, match="text encoder"):
        RadGraphReader(model, source=folder, encoder=tmp_path, device="cpu")


@pytest.mark.data
@pytest.mark.slow
def test_the_published_scores_of_the_anchor_pairs_come_out(real_data: Path) -> None:
    """Only where the first model's published weights are in the package's cache."""
    pairs = [
        json.loads(line) for line in (real_data / "text/radgraph_anchor/pairs.jsonl").open(encoding="utf-8")
    ]
    try:
        reader = open_graph_reader("radgraph", device="cpu")
    except ModelError as error:
        pytest.skip(f"the published weights are not here: {error.what}")
    references = reader.read([pair["reference"] for pair in pairs])
    predictions = reader.read([pair["prediction"] for pair in pairs])
    for pair, reference, prediction in zip(pairs, references, predictions, strict=True):
        scores = graph_f1(reference=reference, prediction=prediction)
        assert scores._asdict() == pytest.approx(pair["radgraph"])
