"""A small random model that the radgraph package itself can load: its real code, no published weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.unit.clinical.tiny_bert import write_tiny_bert, write_tiny_modern_bert

from radflow.clinical.radgraph_compat import old_tokenizer_calls
from radflow.clinical.report_graph import GRAPH_LABELS, RELATION_KINDS, V1_LABELS


def write_tiny_radgraph(folder: Path, model: str, *, max_length: int = 64, coref_weight: int = 0) -> Path:
    """Write config.json, vocabulary/ and weights.th of a random DyGIE++ model; needs the radgraph package."""
    import torch
    from radgraph.allennlp.common.params import Params
    from radgraph.allennlp.data import Vocabulary
    from radgraph.allennlp.modules import text_field_embedders, token_embedders
    from radgraph.dygie.models import dygie

    write = write_tiny_modern_bert if model.startswith("modern") else write_tiny_bert
    write(folder / "encoder")
    encoder = {"model_name": str(folder / "encoder"), "max_length": max_length}
    settings: dict[str, Any] = {
        "modules": {
            "coref": {"spans_per_word": 0.3, "max_antecedents": 5},
            "ner": {},
            "relation": {"spans_per_word": 0.5},
            "events": {"trigger_spans_per_word": 0.3, "argument_spans_per_word": 0.3, "loss_weights": {}},
        },
        "feature_size": 8,
        "max_span_width": 3,
        "target_task": "ner",
        "feedforward_params": {"num_layers": 2, "hidden_dims": 24, "dropout": 0.4},
        "loss_weights": {"ner": 1, "relation": 1, "coref": coref_weight, "events": 0},
    }
    config = {
        "dataset_reader": {"max_span_width": 3, "token_indexers": {"bert": encoder}},
        "model": {
            **settings,
            "type": "dygie",
            "embedder": {"token_embedders": {"bert": encoder}},
            "initializer": {},
            "module_initializer": {},
        },
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    labels = tuple(V1_LABELS) if model == "radgraph" else GRAPH_LABELS
    vocabulary = folder / "vocabulary"
    vocabulary.mkdir()
    (vocabulary / "non_padded_namespaces.txt").write_text("*tags\n*labels\n", encoding="utf-8")
    (vocabulary / f"{model}__ner_labels.txt").write_text("\n".join(("", *labels)) + "\n", encoding="utf-8")
    kinds = "\n".join(RELATION_KINDS) + "\n"
    (vocabulary / f"{model}__relation_labels.txt").write_text(kinds, encoding="utf-8")
    torch.manual_seed(0)
    with old_tokenizer_calls():
        bert = token_embedders.PretrainedTransformerMismatchedEmbedder(**encoder)
    network = dygie.DyGIE(
        vocab=Vocabulary.from_files(str(vocabulary)),
        embedder=text_field_embedders.BasicTextFieldEmbedder({"bert": bert}),
        **{**settings, "modules": Params(settings["modules"]).as_dict()},
    )
    torch.save(network.state_dict(), folder / "weights.th")
    return folder
