"""BERTScore with any encoder: each text is encoded once, alike lengths together, references remembered

Zhang et al., ICLR 2020. Precision, recall and F1 of greedily matched token embeddings, in [-1, 1], near 1 for
most pairs of reports unless rescaled; higher is better. It sees words and topics, hardly negation: never
present it as clinical correctness. Same scores as the bert-score package to 1e-4 on the same model.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from math import log
from typing import Any, NamedTuple

from radflow.clinical.hub_files import pick_device
from radflow.clinical.text_batches import alike_batches, distinct_texts
from radflow.metrics.encoders import Convention, Encoder, TokenRow, convention, find_encoder, load_encoder

PAIRS = 256
"""Pairs that are encoded before they are matched: what bounds memory, some 100 MB with a small model."""
CPU_TOKENS, GPU_TOKENS = 768, 32_768
"""Tokens in one pass, padding included: small passes stay in a CPU's cache, large ones fill a GPU."""
CPU_MATCHES, GPU_MATCHES = 4, 128
"""Pairs that are matched at once."""


class PairScore(NamedTuple):
    """BERTScore of one pair."""

    precision: float
    recall: float
    f1: float


class _Encoded(NamedTuple):
    """A text with words: (tokens, hidden) embeddings of length 1, and (tokens,) weights that sum to 1."""

    vectors: Any
    weights: Any

    @property
    def nbytes(self) -> int:
        return int(self.vectors.nbytes + self.weights.nbytes)


class _Memory:
    """Embeddings of references, ``None`` for those without words; the longest unused make room."""

    def __init__(self, room: float) -> None:
        self.room = room
        self.used = 0
        self.texts: OrderedDict[str, _Encoded | None] = OrderedDict()

    def keep(self, text: str, encoded: _Encoded | None) -> None:
        size = encoded.nbytes if encoded else 0
        if text in self.texts:
            self.texts.move_to_end(text)
        elif size <= self.room:
            self.texts[text] = encoded
            self.used += size
        while self.used > self.room:
            _, oldest = self.texts.popitem(last=False)
            self.used -= oldest.nbytes if oldest else 0


class _TokenWeights:
    """1 for each token, or log((texts + 1) / (texts with the token + 1)), as published."""

    def __init__(self, idf_rows: Sequence[TokenRow] | None) -> None:
        self.idf: dict[int, float] | None = None
        if idf_rows is not None:
            counts = Counter(token for row in idf_rows for token in set(row.ids))
            self.unseen = log(len(idf_rows) + 1)
            self.idf = {token: self.unseen - log(count + 1) for token, count in counts.items()}

    def of(self, row: TokenRow) -> list[float]:
        """Not summing to 1 yet; the tokenizer's own marks weigh nothing."""
        weights = [1.0 if self.idf is None else self.idf.get(token, self.unseen) for token in row.ids]
        return [0.0 if special else weight for weight, special in zip(weights, row.special, strict=True)]


class BERTScore:
    """Scores pairs of texts with one encoder; loaded when first used, and picklable before and after.

    Args:
        model: a named convention (see `encoders.CONVENTIONS`), a model folder, or a hub id, which is fetched.
        layer: layer whose outputs count; a named convention has its own, default is the last.
        baseline: (P, R, F1) of unrelated texts to rescale with; a named convention has its own.
        idf_texts: weigh tokens by their inverse document frequency in these texts. Never take the references
            of the scored batch: a score would depend on its company.
        device: auto, cpu, cuda, cuda:1.
        threads: CPU threads; default: as many as torch uses.
        remembered_mb: memory for embeddings of references that come again, MB of 10^6 bytes; 0 keeps none.

    Raises:
        ConfigError: unknown name, or a layer or baseline given for a named convention.
        ModelError: no model there.
    """

    def __init__(
        self,
        model: str = "bertscore-minilm",
        *,
        layer: int | None = None,
        baseline: tuple[float, float, float] | None = None,
        idf_texts: Sequence[str] | None = None,
        device: str = "auto",
        threads: int | None = None,
        remembered_mb: float = 256,
    ) -> None:
        self.convention: Convention = convention(model, layer=layer, baseline=baseline)
        self.folder = find_encoder(self.convention)
        self.device = pick_device(device)
        self.threads = threads
        self._idf_texts = None if idf_texts is None else tuple(idf_texts)
        self._memory = _Memory(remembered_mb * 1e6)
        self._loaded: tuple[Encoder, _TokenWeights] | None = None

    @property
    def name(self) -> str:
        """What the scores must be called: scores of different encoders are different metrics."""
        return self.convention.name + ("-idf" if self._idf_texts is not None else "")

    def score(self, *, reference: Sequence[str], prediction: Sequence[str]) -> list[PairScore | None]:
        """The score of each pair.

        Returns:
            ``None`` where the reference has no words: there is nothing to compare with. (0, 0, 0), rescaled
            or not, where only the prediction has none.
        """
        pairs = list(zip(reference, prediction, strict=True))
        distinct = iter(dict.fromkeys(pairs))
        scores: dict[tuple[str, str], PairScore | None] = {}
        with self._threads():
            while part := list(islice(distinct, PAIRS)):
                scores |= zip(part, self._score_part(part), strict=True)
        return [scores[pair] for pair in pairs]

    def _score_part(self, pairs: Sequence[tuple[str, str]]) -> list[PairScore | None]:
        remembered = self._memory.texts
        references = dict.fromkeys(reference for reference, _ in pairs)
        known = {text: remembered[text] for text in references if text in remembered}
        texts, _ = distinct_texts([text for pair in pairs for text in pair if text not in known])
        known |= self._encode(texts)
        for text in references:
            self._memory.keep(text, known[text])
        return self._match([(known[reference], known[prediction]) for reference, prediction in pairs])

    def _encode(self, texts: Sequence[str]) -> dict[str, _Encoded | None]:
        import torch

        encoder, token_weights = self._load()
        rows = encoder.tokens(texts)
        encoded: dict[str, _Encoded | None] = {}
        with torch.inference_mode():
            for batch in self._batches([len(row.ids) for row in rows]):
                hidden = encoder.run([rows[place].ids for place in batch], device=self.device)
                vectors = torch.nn.functional.normalize(hidden, dim=-1)
                for place, own in zip(batch, vectors, strict=True):
                    weights = torch.tensor(token_weights.of(rows[place]))
                    total = weights.sum()
                    # A copy: a view would keep the whole padded batch in memory.
                    kept = _Encoded(own[: len(weights)].clone(), (weights / total).to(own.device))
                    encoded[texts[place]] = kept if total > 0 else None
        return encoded

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Places of texts, shortest first, as many as fill one pass."""
        room = CPU_TOKENS if self.device == "cpu" else GPU_TOKENS
        batch: list[int] = []
        for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
            if batch and lengths[place] * (len(batch) + 1) > room:
                yield batch
                batch = []
            batch.append(place)
        if batch:
            yield batch

    def _match(self, pairs: Sequence[tuple[_Encoded | None, _Encoded | None]]) -> list[PairScore | None]:
        scores = [None if reference is None else PairScore(0.0, 0.0, 0.0) for reference, _ in pairs]
        whole = [
            (place, reference, prediction)
            for place, (reference, prediction) in enumerate(pairs)
            if reference is not None and prediction is not None
        ]
        lengths = [max(len(reference.weights), len(prediction.weights)) for _, reference, prediction in whole]
        size = CPU_MATCHES if self.device == "cpu" else GPU_MATCHES
        for batch in alike_batches(lengths, size):
            places, references, predictions = zip(*(whole[number] for number in batch), strict=True)
            for place, found in zip(places, _greedy(references, predictions), strict=True):
                scores[place] = self._rescaled(*found)
        return scores

    def _rescaled(self, precision: float, recall: float) -> PairScore:
        total = precision + recall
        raw = (precision, recall, 2 * precision * recall / total if total else 0.0)
        if self.convention.baseline is None:
            return PairScore(*raw)
        baseline = self.convention.baseline
        return PairScore(*((value - base) / (1 - base) for value, base in zip(raw, baseline, strict=True)))

    def _load(self) -> tuple[Encoder, _TokenWeights]:
        if self._loaded is None:
            encoder = load_encoder(self.folder, self.convention).to(self.device)
            rows = None if self._idf_texts is None else encoder.tokens(self._idf_texts)
            self._loaded = encoder, _TokenWeights(rows)
        return self._loaded

    @contextmanager
    def _threads(self) -> Iterator[None]:
        """Torch with as many threads as asked for, and afterwards with as many as before."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(self.threads or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def __getstate__(self) -> dict[str, Any]:
        """Settings only: each process loads the model itself."""
        return self.__dict__ | {"_loaded": None, "_memory": _Memory(self._memory.room)}


def _greedy(references: Sequence[_Encoded], predictions: Sequence[_Encoded]) -> list[tuple[float, float]]:
    """(precision, recall) of each pair: every token takes its best match on the other side."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    with torch.inference_mode():
        reference = pad_sequence([each.vectors for each in references], batch_first=True)
        prediction = pad_sequence([each.vectors for each in predictions], batch_first=True)
        cosine = prediction @ reference.transpose(1, 2)  # (pairs, tokens of prediction, of reference)
        for row, (ours, theirs) in enumerate(zip(predictions, references, strict=True)):
            cosine[row, len(ours.weights) :] = -1  # padding is never the best match
            cosine[row, :, len(theirs.weights) :] = -1
        weights = pad_sequence([each.weights for each in predictions], batch_first=True)
        precision = (cosine.amax(dim=2) * weights).sum(dim=1)
        weights = pad_sequence([each.weights for each in references], batch_first=True)
        recall = (cosine.amax(dim=1) * weights).sum(dim=1)
        pairs: list[tuple[float, float]] = torch.stack((precision, recall), dim=1).double().tolist()
        return [(each[0], each[1]) for each in pairs]
