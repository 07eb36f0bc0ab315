"""CheXbert: order of classes, batches, safe loading and what is said when weights are missing.

On a small random checkpoint of the published architecture; the published weights were not run.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.unit.clinical.tiny_bert import write_tiny_bert

from radflow.clinical.chexbert_network import CheXbertNetwork
from radflow.clinical.chexpert_classes import CHEXPERT_CLASSES
from radflow.clinical.hub_chexbert import CHEXBERT_ORDER, CheXbert, labels_from_heads
from radflow.clinical.readers import LABELERS, open_labeler
from radflow.errors import ConfigError, ModelError

TEXTS = (
    "No acute pleural effusion.",
    "Heart is enlarged.",
    "",
    "Left lung opacity, pneumonia in place.\nTube in place.",
    "Edema",
    "Edema. " * 40,
    "Heart is enlarged.",
)
PUBLISHED_ORDER = (
    *("Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation"),
    *("Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture"),
    *("Support Devices", "No Finding"),
)
Weights = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("nothing here may reach for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def random_weights(folder: Path, *, seed: int = 0) -> Weights:
    """Weights of a small network, with its config and vocabulary written to the folder."""
    torch.manual_seed(seed)
    network = CheXbertNetwork(write_tiny_bert(folder))
    for head in network.linear_heads:
        torch.nn.init.normal_(head.weight)
    return network.state_dict()


def save_published(weights: Weights, folder: Path) -> Path:
    """As the authors saved theirs: in DataParallel, beside other things, with an old transformers' buffer."""
    state = {f"module.{name}": value for name, value in weights.items()}
    state["module.bert.embeddings.position_ids"] = torch.arange(512)[None]
    torch.save({"epoch": 3, "model_state_dict": state}, folder / "chexbert.pth")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chexbert")
    return save_published(random_weights(path), path)


@pytest.fixture(scope="module")
def chexbert(folder: Path) -> CheXbert:
    return CheXbert(folder, device="cpu", batch_size=3)


def test_every_head_reaches_its_own_class(tmp_path: Path) -> None:
    """Heads forced to one output each: the label appears under that head's published name alone."""
    weights = random_weights(tmp_path)
    for number, name in enumerate(PUBLISHED_ORDER):
        forced = {key: value * ("linear_heads" not in key) for key, value in weights.items()}
        for head in range(14):
            forced[f"linear_heads.{head}.bias"][1 if head == number else 0] = 1.0
        save_published(forced, tmp_path)
        (labels,) = CheXbert(tmp_path, device="cpu").label(["Edema"])
        assert [key for key, value in labels.items() if value == 1] == [name]
        assert sum(value is None for value in labels.values()) == 13


def test_order_differs_from_chexpert_in_three_places() -> None:
    assert CHEXBERT_ORDER == PUBLISHED_ORDER
    assert set(CHEXBERT_ORDER) == set(CHEXPERT_CLASSES)
    assert CHEXBERT_ORDER[-1] == CHEXPERT_CLASSES[0] == "No Finding"
    assert CHEXBERT_ORDER.index("Lung Opacity") < CHEXBERT_ORDER.index("Lung Lesion")
    assert CHEXPERT_CLASSES.index("Lung Opacity") > CHEXPERT_CLASSES.index("Lung Lesion")


def test_outputs_mean_blank_positive_negative_uncertain() -> None:
    labels = labels_from_heads([0, 1, 2, 3, *[0] * 9, 1])
    assert tuple(labels) == CHEXPERT_CLASSES
    assert labels["Enlarged Cardiomediastinum"] is None
    assert (labels["Cardiomegaly"], labels["Lung Opacity"], labels["Lung Lesion"]) == (1, 0, -1)
    assert labels["No Finding"] == 1


def test_a_text_gets_the_same_alone_and_in_any_batch(chexbert: CheXbert) -> None:
    together, vectors = chexbert.label(TEXTS), chexbert.vectors(TEXTS)
    for place, text in enumerate(TEXTS):
        assert chexbert.label([text]) == [together[place]]
        assert np.allclose(chexbert.vectors([text])[0], vectors[place], atol=1e-5)
    assert chexbert.label(TEXTS[::-1]) == together[::-1]
    assert len({tuple(labels.values()) for labels in together}) > 3  # the texts do differ
    assert together[1] == together[6]


def test_vectors_are_one_per_text_of_the_network_s_width(chexbert: CheXbert) -> None:
    vectors = chexbert.vectors(TEXTS)
    assert vectors.shape == (len(TEXTS), 32)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors[0] - vectors[1]) > 0.1


def test_vectors_are_the_encoder_s_last_layer_at_the_first_token(chexbert: CheXbert) -> None:
    ids = chexbert.tokenizer("Heart is enlarged.", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        hidden = chexbert.network.bert(input_ids=ids).last_hidden_state[0, 0]
    assert np.allclose(chexbert.vectors(["Heart is enlarged."])[0], hidden.numpy(), atol=1e-5)


def test_white_space_means_nothing(chexbert: CheXbert) -> None:
    assert chexbert.label([" Heart  is\nenlarged. "]) == chexbert.label(["Heart is enlarged."])


def test_reports_end_at_512_tokens(chexbert: CheXbert) -> None:
    words = ["edema"] * 510
    whole = chexbert.vectors([" ".join(words)])
    assert np.allclose(chexbert.vectors([" ".join([*words, "effusion", "tube"])]), whole, atol=1e-6)
    assert not np.allclose(chexbert.vectors([" ".join([*words[:-1], "effusion"])]), whole, atol=1e-4)


def test_no_texts_have_no_labels(chexbert: CheXbert) -> None:
    assert chexbert.label([]) == []
    assert chexbert.vectors([]).shape == (0, 32)


def test_safetensors_and_pth_give_the_same(chexbert: CheXbert, tmp_path: Path) -> None:
    save_file(random_weights(tmp_path), tmp_path / "model.safetensors")
    assert np.array_equal(CheXbert(tmp_path, device="cpu").vectors(TEXTS[:1]), chexbert.vectors(TEXTS[:1]))
    file = CheXbert(tmp_path / "model.safetensors", device="cpu")
    assert file.label(TEXTS) == chexbert.label(TEXTS)


class Opens:
    """Runs code when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    write_tiny_bert(tmp_path)
    torch.save({"model_state_dict": Opens(tmp_path / "ran")}, tmp_path / "chexbert.pth")
    with pytest.raises(ModelError, match="read safely"):
        CheXbert(tmp_path, device="cpu")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("change", ["missing head", "unknown weight", "other size", "nothing"])
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, change: str) -> None:
    weights = random_weights(tmp_path)
    if change == "missing head":
        del weights["linear_heads.7.weight"]
    if change == "unknown weight":
        weights["classifier.weight"] = torch.zeros(3)
    if change == "other size":
        weights["linear_heads.13.weight"] = torch.zeros(4, 32)
    save_published({} if change == "nothing" else weights, tmp_path)
    with pytest.raises(ModelError, match=r"chexbert\.pth"):
        CheXbert(tmp_path, device="cpu")


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    for name in ("chexbert.pth", "model.safetensors"):
        (tmp_path / name).write_bytes(b"not a checkpoint")
        with pytest.raises(ModelError, match="read safely"):
            CheXbert(tmp_path / name, device="cpu")


def test_missing_weights_say_what_where_how_and_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(ModelError) as caught:
        open_labeler("chexbert", device="cpu")
    message = str(caught.value)
    for part in (
        "checkpoint of chexbert",
        str(tmp_path / "cache"),
        "StanfordAIMI/RRG_scorers",
        "'rules'",
        "source",
    ):
        assert part in message
    with pytest.raises(ModelError, match=str(tmp_path / "nowhere")):
        open_labeler("chexbert", source=tmp_path / "nowhere")


def test_a_missing_vocabulary_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    save_published(random_weights(tmp_path), tmp_path)
    for file in ("vocab.txt", "tokenizer.json"):
        (tmp_path / file).unlink(missing_ok=True)
    with pytest.raises(ModelError, match=r"vocabulary of chexbert[\s\S]*vocab\.txt"):
        CheXbert(tmp_path, device="cpu")


def test_a_vocabulary_of_another_model_is_refused(tmp_path: Path) -> None:
    save_published(random_weights(tmp_path), tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nlung\n", encoding="utf-8")
    with pytest.raises(ModelError, match="vocabulary of chexbert"):
        CheXbert(tmp_path, tokenizer=other, device="cpu")


def test_vocab_txt_alone_is_enough(tmp_path: Path, chexbert: CheXbert) -> None:
    save_published(random_weights(tmp_path), tmp_path)
    for file in tmp_path.glob("token*.json"):
        file.unlink()
    assert np.array_equal(CheXbert(tmp_path, device="cpu").vectors(TEXTS[:1]), chexbert.vectors(TEXTS[:1]))


def test_a_device_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="CUDA"):
        CheXbert(folder, device="cuda:7")


def test_an_unknown_labeler_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean chexbert"):
        open_labeler("chexbret")
    assert "chexbert" in LABELERS


def test_the_registries_import_neither_torch_nor_transformers() -> None:
    heavy = "{'torch', 'transformers', 'radgraph'}"
    code = f"import sys, radflow.clinical.readers; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
