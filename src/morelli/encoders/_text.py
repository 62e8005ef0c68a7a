"""Texts in the image's space: the checkpoint's own text tower, or a bank of embeddings on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.artefacts import replacing_file
from morelli.encoders._extras import require_torch
from morelli.errors import ArtifactError, UsageError, WeightsError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_BATCH = 64
_LOADERS = {
    "clip": "CLIPTextModelWithProjection",
    "clip_text_model": "CLIPTextModelWithProjection",
    "metaclip_2": "MetaClip2TextModelWithProjection",
    "siglip": "SiglipTextModel",
    "siglip2": "Siglip2TextModel",
}
"""transformers' class for the text tower, by the model type of a folder."""


class TextTower:
    """Text half of a CLIP-like checkpoint. Not made by hand: it is `Encoder.text`."""

    def __init__(self, folder: Path, *, family: str, place: str) -> None:
        require_torch("The text tower")
        import torch
        import transformers

        from morelli.encoders._pretrained import load_config, load_pretrained, load_tokenizer

        # Which class reads them is the folder's to say: MetaCLIP 2's image tower alone is CLIP's.
        model_type = load_config(folder).model_type
        if model_type not in _LOADERS:
            raise WeightsError(f"{folder} holds a {model_type} model, whose text tower is not known here.")
        loader = getattr(transformers, _LOADERS[model_type])
        self._tokenizer = load_tokenizer(folder)
        self._model = load_pretrained(loader, folder, dtype=torch.float32).to(place)
        self._place, self._family = place, family

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts: (n, d) float32, after the text projection, not normalised, like `Encoder.encode`.

        Texts longer than the tower's context are cut at its end.
        """
        import torch

        if isinstance(texts, str):
            raise UsageError("encode takes a list of texts, not one text.")
        rows = []
        for start in range(0, len(texts), _BATCH):
            tokens = self._tokenize(list(texts[start : start + _BATCH]))
            with torch.inference_mode():
                out = self._model(**tokens)
            value = getattr(out, "text_embeds", None)
            rows.append((out.pooler_output if value is None else value).float().cpu().numpy())
        dim = int(getattr(self._model.config, "projection_dim", self._model.config.hidden_size))
        return np.concatenate(rows) if rows else np.empty((0, dim), np.float32)

    def vocabulary(self, *, whole_words: bool = True) -> list[str]:
        """Entries of the tokenizer in the order of their ids, as plain text, special tokens left out.

        With `whole_words` those only that stand alone: marked as the end of a word in CLIP's byte-pair
        vocabulary, as the beginning of one in sentence-piece vocabularies.
        """
        special = set(self._tokenizer.all_special_tokens)
        pairs = sorted(self._tokenizer.get_vocab().items(), key=lambda pair: pair[1])
        numbers = [
            number
            for token, number in pairs
            if token not in special and (not whole_words or token.endswith("</w>") or token.startswith("▁"))
        ]
        return [str(self._tokenizer.decode([number])).strip() for number in numbers]

    def _tokenize(self, texts: list[str]) -> dict[str, Any]:
        length = int(self._model.config.max_position_embeddings)
        # SigLIP was trained on texts padded to the full length, without a mask, in lower case.
        siglip = self._family in ("siglip", "siglip2")
        tokens = self._tokenizer(
            [text.lower() for text in texts] if siglip else texts,
            padding="max_length" if siglip else True,
            truncation=True,
            max_length=length,
            return_tensors="pt",
        )
        names = ("input_ids",) if siglip else ("input_ids", "attention_mask")
        return {name: tokens[name].to(self._place) for name in names}


@dataclass(frozen=True)
class TextBank:
    """Named text embeddings of one encoder's space, normalised to length 1."""

    names: tuple[str, ...]
    vectors: NDArray[np.float32]
    """(n, d), rows of length 1."""
    source: tuple[str, ...] = ()
    """Where each came from; empty when not told."""

    @classmethod
    def load(cls, path: str | Path) -> TextBank:
        """Read an .npz with `names` (n,), `emb` (n, d) and, if known, `source` (n,). Nothing is unpickled.

        Raises:
            ArtifactError: the file is missing, is no such archive, or holds vectors without a direction.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                names = tuple(map(str, data["names"]))
                vectors = np.asarray(data["emb"], dtype=np.float32)
                source = tuple(map(str, data["source"])) if "source" in data else ()
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise ArtifactError(
                f"{path} is no text bank ({error}); an .npz with the arrays names and emb is needed."
            ) from error
        return cls.of(names, vectors, source=source, what=str(path))

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        vectors: ArrayLike,
        *,
        source: Sequence[str] = (),
        what: str = "the text bank",
    ) -> TextBank:
        """Make a bank of embeddings (n, d) of any length; `what` names it in errors."""
        array = np.asarray(vectors, dtype=np.float32)
        if array.ndim != 2 or len(array) != len(names) or (source and len(source) != len(names)):
            raise ArtifactError(
                f"{what} has {len(names)} names, {len(source)} sources and an array of shape {array.shape}; "
                "one row per name is needed."
            )
        norms = np.linalg.norm(array, axis=1, keepdims=True)
        if not np.isfinite(array).all() or (norms == 0).any():
            raise ArtifactError(f"{what} holds vectors that are zero or not finite.")
        return cls(tuple(names), array / norms, tuple(source))

    def __len__(self) -> int:
        return len(self.names)

    def save(self, path: str | Path) -> None:
        """Write what `load` reads, whole or not at all."""
        # numpy adds the ending to a name that lacks it.
        with replacing_file(path if str(path).endswith(".npz") else f"{path}.npz") as file:
            np.savez_compressed(
                file,
                names=np.array(self.names),
                emb=self.vectors,
                source=np.array(self.source or [""] * len(self)),
            )

    def select(self, rows: Sequence[int] | NDArray[np.integer] | NDArray[np.bool_]) -> TextBank:
        """The bank of these rows, by index or mask."""
        index = np.arange(len(self))[np.asarray(rows)]
        return TextBank(
            tuple(self.names[i] for i in index),
            self.vectors[index],
            tuple(self.source[i] for i in index) if self.source else (),
        )

    def similarities(self, embeddings: ArrayLike) -> NDArray[np.float32]:
        """Cosine of image embeddings (m, d) with every text: (m, n)."""
        array = np.atleast_2d(np.asarray(embeddings, dtype=np.float32))
        if array.shape[1] != self.vectors.shape[1]:
            raise UsageError(
                f"The embeddings have {array.shape[1]} components and the text bank {self.vectors.shape[1]}: "
                "they belong to different encoders."
            )
        norms = np.linalg.norm(array, axis=1, keepdims=True)
        return np.asarray(array / np.maximum(norms, np.finfo(np.float32).tiny) @ self.vectors.T)
