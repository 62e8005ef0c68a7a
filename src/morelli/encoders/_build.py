"""The build: what must be equal for two feature vectors to be comparable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from morelli.errors import ArtifactError, BuildMismatchError

DTYPES = ("float32", "bfloat16", "int8")


@dataclass(frozen=True)
class Build:
    """Encoder weights, preprocessing and dtype of a feature.

    The device is recorded next to a build, not inside it: in float32 (TF32 off) CPU and CUDA
    agree to rounding, so that a bundle made on one serves on the other.
    """

    encoder: str
    """Name of the encoder, such as `clip-vit-b16`, a hub id, or a folder's name."""
    weights: str
    """SHA-256 (hex) of the file that the weights came from, before any conversion."""
    transform: str
    """Id of the image transform."""
    dtype: str
    """Dtype of the matrix products: `float32`, `bfloat16` or `int8`."""

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 over the canonical JSON of the four fields."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, str]:
        """The four fields and the fingerprint, ready for `json.dumps`."""
        return {**asdict(self), "fingerprint": self.fingerprint}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Build:
        """Read what `to_json` wrote.

        Raises:
            ArtifactError: a field is missing, is no text, or does not match the fingerprint.
        """
        names = [field.name for field in fields(cls)]
        wrong = [name for name in names if not isinstance(data.get(name), str)]
        if wrong:
            raise ArtifactError(f"The build lacks {', '.join(wrong)}. Make the artefact again.")
        build = cls(**{name: data[name] for name in names})
        if data.get("fingerprint", build.fingerprint) != build.fingerprint:
            raise ArtifactError(
                f"The build's fingerprint is {data['fingerprint']}, but its fields give {build.fingerprint}: "
                "the artefact was edited or damaged. Make it again."
            )
        return build

    @property
    def present_name(self) -> str:
        """Name that stands for these weights now, where `encoder` once stood for two sets of weights.

        Example:
            >>> Build("clip-vit-b16", weights="ab", transform="clip-224-v1", dtype="float32").present_name
            'clip-vit-b16-openai'
        """
        from morelli.encoders._cards import encoder_card, separated_from

        other = separated_from(self.encoder)
        if other is None or encoder_card(self.encoder).sha256 == self.weights:
            return self.encoder
        return other.name

    def qualified(self, kind: str) -> str:
        """The feature kind `kind` of this build, named so that it can lie beside those of other builds.

        Example:
            >>> Build("a", weights="ab", transform="t", dtype="float32").qualified("final")
            '7c071857ac87a246/final'
        """
        return f"{replace(self, encoder=self.present_name).fingerprint}/{kind}"

    @classmethod
    def joined(cls, builds: Sequence[Build]) -> Build:
        """The build of qualified features that several encoders made of the same images.

        Example:
            >>> one = Build("a", weights="ab", transform="t", dtype="float32")
            >>> Build.joined([one, replace(one, encoder="b")]).encoder
            'a + b'
        """
        names = [replace(one, encoder=one.present_name).fingerprint for one in builds]
        return cls(
            encoder=" + ".join(one.present_name for one in builds),
            weights=hashlib.sha256("\n".join(names).encode()).hexdigest(),
            transform=" + ".join(one.transform for one in builds),
            dtype=" + ".join(dict.fromkeys(one.dtype for one in builds)),
        )

    def matches(self, other: Build) -> bool:
        """Whether features of both can be compared: equal, but for a former name of the same weights.

        Example:
            >>> new = Build("clip-vit-b16-openai", weights="ab", transform="clip-224-v1", dtype="float32")
            >>> old = Build("clip-vit-b16", weights="ab", transform="clip-224-v1", dtype="float32")
            >>> new.matches(old), new == old
            (True, False)
        """
        return replace(self, encoder=self.present_name) == replace(other, encoder=other.present_name)

    def require_same(self, other: Build, *, what: str) -> None:
        """Raise `BuildMismatchError` naming the fields that differ, unless `other` matches this build.

        `what` says whose build `other` is, for the message: "the bundle", "the table a.lance".
        """
        if self.matches(other):
            return
        names = [
            field.name for field in fields(self) if getattr(self, field.name) != getattr(other, field.name)
        ]
        parts = [f"{name} is {getattr(other, name)} there and {getattr(self, name)} here" for name in names]
        raise BuildMismatchError(
            f"Features of two builds cannot be mixed: {what} was made otherwise ({'; '.join(parts)}). "
            "Load the encoder of that build with `encoder_for_build`, or extract the features again."
            + self.renaming(other)
        )

    def renaming(self, other: Build) -> str:
        """A sentence for errors when both name one encoder that once stood for two sets of weights."""
        names = {self.present_name, other.present_name}
        if self.encoder != other.encoder or len(names) == 1:
            return ""
        (name,) = names - {self.encoder}
        return f" {self.encoder} once stood for two sets of weights; those of the model hub are {name} now."
