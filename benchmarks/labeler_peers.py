"""Reports a second of the rule labeler, of a BERT of CheXbert's size and of negspacy: same texts and run.

The BERT has random weights: its speed does not depend on them. negspacy takes part where it is installed,
best in an environment of its own with radflow: the EntityRuler of spaCy finds the same phrases, negspacy
decides their negation, and nothing else is read. Wall time, rounds alternate, medians.
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertTokenizer

from labeler_speed import label_all, texts
from radflow.clinical.chexbert_network import CheXbertNetwork
from radflow.clinical.hub_chexbert import CheXbert
from radflow.clinical.labeler import RuleLabeler
from radflow.clinical.phrases import expand

ROUNDS = 3
SAMPLE = 32
BERT_VOCABULARY = 30_522

Peer = Callable[[list[str]], object]


def chexbert_sized(reports: list[str]) -> Peer:
    """bert-base-uncased's sizes with CheXbert's heads; word pieces learnt from the reports."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pieces = BertWordPieceTokenizer(lowercase=True)
        pieces.train_from_iterator(reports, vocab_size=BERT_VOCABULARY, show_progress=False)
        pieces.save_model(str(folder))
        BertTokenizer(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
        config = BertConfig(vocab_size=pieces.get_vocab_size())
        config.save_pretrained(folder)
        save_file(CheXbertNetwork(config).state_dict(), folder / "model.safetensors")
        return CheXbert(folder, device="cpu").label


def negspacy() -> Peer:
    """spaCy's tokenizer and sentencizer, our phrases as entities, negspacy's negation."""
    import spacy
    from negspacy.negation import Negex  # noqa: F401 (registers the component)

    model = spacy.blank("en")
    model.add_pipe("sentencizer")
    ruler = model.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    ontology = RuleLabeler().ontology
    ruler.add_patterns(  # type: ignore[attr-defined]
        [
            {"label": name, "pattern": " ".join(words).replace("*", "")}
            for name, item in ontology.observations.items()
            for phrase in item.phrases
            for words in expand(phrase)
        ]
    )
    model.add_pipe("negex", config={"ent_types": list(ontology.observations)})
    return lambda reports: [[(e.label_, e._.negex) for e in doc.ents] for doc in model.pipe(reports)]


def seconds(work: Peer, reports: list[str]) -> float:
    start = time.perf_counter()
    work(reports)
    return time.perf_counter() - start


def main() -> None:
    reports = texts()
    sample = reports[:: max(1, len(reports) // SAMPLE)][:SAMPLE]
    peers: dict[str, tuple[Peer, list[str]]] = {
        "radflow rules, nothing seen before": (lambda rows: label_all(rows, RuleLabeler()), reports),
        "BERT of CheXbert's size": (chexbert_sized(reports), sample),
    }
    if importlib.util.find_spec("negspacy"):
        peers["negspacy (negation of the same phrases)"] = (negspacy(), sample)
    else:
        print("negspacy is not installed here, so it is left out")
    rates: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(ROUNDS):
        for name, (work, rows) in peers.items():
            rates[name].append(len(rows) / seconds(work, rows))
    print(f"{len(reports)} reports, {torch.get_num_threads()} threads for the BERT, one for the others")
    fastest = statistics.median(rates["radflow rules, nothing seen before"])
    for name, values in rates.items():
        rate = statistics.median(values)
        spread = f"{min(values):.1f} to {max(values):.1f}"
        print(f"{name:42s} {rate:8.1f} reports/s ({spread}), 1/{fastest / rate:.0f}")


if __name__ == "__main__":
    main()
