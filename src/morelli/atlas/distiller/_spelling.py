"""Forget-to-spell: a projection of embeddings that leaves out what rendered words move.

Two ways to it. `Spelling.from_overlays` is closed form and needs no text tower (our own proposal):
with δ the moves of unit rows when words are drawn, S = mean δδᵀ and N the covariance of undisturbed rows,
the generalised eigenvectors S v = λ N v are ordered by how much words move a readout v relative to how much
photographs differ in it; what is kept is the span of those that are moved least. `Spelling.learn` fits the
projection by gradient as Materzynska et al. 2022 do, for encoders with a text tower.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax

from morelli.artefacts import Format, read_folder, read_manifest, write_folder
from morelli.atlas.distiller._activation import unit_rows
from morelli.atlas.distiller._map import FORM as MAP_FORM
from morelli.atlas.distiller._map import default_map_path
from morelli.atlas.distiller._training import Adam
from morelli.encoders import Build
from morelli.errors import ArtifactError, UsageError

_RIDGE = 0.1
TENSORS = "spelling.safetensors"


def _files_of_version_1(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return {TENSORS: {"sha256": document.get("tensors_sha256")}}


FORM = Format(
    name="morelli-spelling",
    what="forget-to-spell projection",
    manifest="spelling.json",
    version=2,
    again="make it again",
    schema={"kind": str, "build": dict, "record": dict},
    dtypes=("float16",),
    largest=1 << 30,
    files_of=_files_of_version_1,
    known_by=(MAP_FORM.manifest,),
)


@dataclass(frozen=True, eq=False)
class Spelling:
    """A forget-to-spell projection x @ basis of unit rows x.

    basis: (d, d') orthonormal columns of what is kept. before, after: (m, d') projected rows of pictures
    without and with overlays; a `Distiller` learns not to tell them apart (`Distiller.invariance`). None:
    the projection is all there is. record: how it was made, plain JSON values.

    Raises:
        UsageError: shapes that do not fit, numbers that are not finite, columns that are not orthonormal.
    """

    basis: NDArray[np.float64]
    before: NDArray[np.float64] | None = None
    after: NDArray[np.float64] | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        basis = np.asarray(self.basis, dtype=np.float64)
        if basis.ndim != 2 or not 0 < basis.shape[1] <= basis.shape[0] or not np.isfinite(basis).all():
            raise UsageError(f"a forget-to-spell basis is (d, d') with 0 < d' ≤ d; got {basis.shape}")
        if np.abs(basis.T @ basis - np.eye(basis.shape[1])).max() > 1e-4:
            raise UsageError("the columns of a forget-to-spell basis must be orthonormal")
        object.__setattr__(self, "basis", basis)
        if (self.before is None) != (self.after is None):
            raise UsageError("rows before and after overlays belong together; give both or neither")
        if self.before is not None and self.after is not None:
            before, after = (np.asarray(part, dtype=np.float64) for part in (self.before, self.after))
            if before.shape != after.shape or before.ndim != 2 or before.shape[1] != basis.shape[1]:
                raise UsageError(
                    f"rows before and after overlays have shapes {before.shape} and {after.shape}; "
                    f"(m, {basis.shape[1]}) was expected of both"
                )
            if not (np.isfinite(before).all() and np.isfinite(after).all()):
                raise UsageError("rows before and after overlays hold a number that is not finite")
            object.__setattr__(self, "before", before)
            object.__setattr__(self, "after", after)

    @classmethod
    def from_overlays(
        cls,
        before: ArrayLike,
        words: ArrayLike,
        blocks: ArrayLike | None = None,
        *,
        natural: ArrayLike | None = None,
        keep: int | None = None,
        ridge: float = _RIDGE,
        pairs: bool = True,
        record: Mapping[str, Any] | None = None,
    ) -> Self:
        """The closed form, of features (m, d) of pictures without and with words.

        Args:
            before, words: row i of both is of one picture.
            blocks: the same pictures with plain blocks where the words are. Not part of the projection,
                which is about lettering and what comes with it; one more set of pairs to be invariant to.
            natural: rows (n, d) whose covariance is N; `before` when None.
            keep: d'; half of d when None, as the 512 → 256 of ASAP.
            ridge: added to N, in units of its mean eigenvalue; more removes plain directions of movement.
            pairs: whether the pairs are kept for `Distiller.invariance`.

        Raises:
            UsageError: shapes that do not fit.
        """
        from scipy.linalg import eigh

        start, moved = np.asarray(before), np.asarray(words)
        if start.ndim != 2 or start.shape != moved.shape or len(start) < 2:
            raise UsageError(f"features without and with words must match; got {start.shape}, {moved.shape}")
        sides = [unit_rows(moved)]
        if blocks is not None:
            if np.shape(blocks) != start.shape:
                raise UsageError(f"features with blocks have shape {np.shape(blocks)}, not {start.shape}")
            sides.append(unit_rows(np.asarray(blocks)))
        d = start.shape[1]
        kept = max(1, d // 2) if keep is None else keep
        if not 0 < kept <= d:
            raise UsageError(f"keep is {keep!r}; give 1 to {d}")
        clean = unit_rows(start)
        delta = sides[0] - clean
        spread = np.cov(clean if natural is None else unit_rows(np.asarray(natural)), rowvar=False)
        spread = np.atleast_2d(spread)
        spread[np.diag_indices(d)] += ridge * np.trace(spread) / d + 1e-12
        _, readouts = eigh(delta.T @ delta / len(delta), spread)
        # Ascending eigenvalues: the first columns are the readouts that words move least.
        basis = np.linalg.qr(readouts[:, :kept])[0]
        rows = {}
        if pairs:
            rows = {
                "before": np.concatenate([clean] * len(sides)) @ basis,
                "after": np.concatenate(sides) @ basis,
            }
        facts = {"method": "closed form", "pairs": len(start), "keep": kept, "ridge": ridge}
        return cls(basis, record={**facts, **(record or {})}, **rows)

    @classmethod
    def learn(
        cls,
        before: ArrayLike,
        words: ArrayLike,
        texts: ArrayLike,
        *,
        keep: int | None = None,
        forget: float = 1.0,
        temperature: float = 0.07,
        steps: int = 300,
        rate: float = 0.01,
        seed: int = 0,
        record: Mapping[str, Any] | None = None,
    ) -> Self:
        """The learnt projection W (d, d'), after Materzynska et al. 2022; it needs a text tower.

        Minimised: symmetric cross-entropy between Wx of a picture with a word and Wx of the same picture
        without, plus `forget` times how far the texts can be told from pictures with them, plus ‖I - WᵀW‖².
        The authors give the second term as cross-entropy with negative weight, which has no lower end; ours
        is cross-entropy against the uniform distribution over texts, least where no word can be read.

        before, words, texts: (m, d) features of pictures without and with one word, and of that word.

        Raises:
            UsageError: shapes that do not fit.
        """
        parts = [np.asarray(part) for part in (before, words, texts)]
        if parts[0].ndim != 2 or len({part.shape for part in parts}) != 1 or len(parts[0]) < 2:
            raise UsageError(
                f"pictures, pictures with words and texts must match; got {[p.shape for p in parts]}"
            )
        d = parts[0].shape[1]
        kept = max(1, d // 2) if keep is None else keep
        if not 0 < kept <= d:
            raise UsageError(f"keep is {keep!r}; give 1 to {d}")
        rows = [unit_rows(part).astype(np.float32) for part in parts]
        rng = np.random.default_rng(seed)
        W = np.linalg.qr(rng.normal(size=(d, kept)))[0].astype(np.float32)
        adam = Adam([W], rate)
        size = min(128, len(rows[0]))
        for _ in range(steps):
            batch = rng.choice(len(rows[0]), size, replace=False)
            _, gradient = forgetting(W, [part[batch] for part in rows], forget, temperature)
            (W,) = adam.step([gradient])
        # What is left of non-orthogonality goes: the nearest orthonormal columns.
        u, _, v = np.linalg.svd(W.astype(np.float64), full_matrices=False)
        how = {"method": "learnt", "pairs": len(rows[0]), "keep": kept, "forget": forget, "steps": steps}
        return cls(u @ v, record={**how, **(record or {})})

    def project(self, X: ArrayLike) -> NDArray[np.float64]:
        """Unit rows of X (n, d) in the kept coordinates: (n, d')."""
        return np.asarray(unit_rows(np.asarray(X)) @ self.basis)

    def save(self, folder: str | Path, build: Build, kind: str = "final") -> None:
        """Write `spelling.json` and `spelling.safetensors` (float16), both or neither.

        They may share the folder with a distilled map, as the shipped ones do.

        Raises:
            UsageError: `folder` holds something else.
        """
        parts = {"basis": self.basis, "before": self.before, "after": self.after}
        tensors = {name: part.astype(np.float16) for name, part in parts.items() if part is not None}
        document = {"kind": kind, "build": build.to_json(), "record": dict(self.record)}
        write_folder(folder, FORM, document, tensors={TENSORS: tensors})

    @classmethod
    def load(cls, folder: str | Path, build: Build, kind: str = "final") -> Self:
        """Read what `save` wrote.

        Raises:
            ArtifactError: missing or damaged files, or another feature kind.
            BuildMismatchError: features of another build.
        """
        folder = Path(folder)
        found = read_folder(folder, FORM)
        _build_of(found.document, folder).require_same(build, what="the features to be projected")
        if found.document["kind"] != kind:
            raise ArtifactError(f"{folder} holds a projection of {found.document['kind']}, not of {kind}")
        tensors = {name: part.astype(np.float64) for name, part in found.tensors.get(TENSORS, {}).items()}
        try:
            # The stored numbers are rounded to float16: the basis is made orthonormal again.
            basis, triangle = np.linalg.qr(tensors["basis"])
            basis *= np.where(np.diag(triangle) < 0, -1.0, 1.0)
            return cls(basis, tensors.get("before"), tensors.get("after"), found.document["record"])
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise ArtifactError(
                f"{folder / TENSORS} holds a damaged projection ({error}); {FORM.again}"
            ) from error


def forgetting(
    W: NDArray[Any], kinds: Sequence[NDArray[Any]], forget: float, temperature: float
) -> tuple[float, NDArray[Any]]:
    """What `Spelling.learn` minimises, and its gradient by W (d, d').

    `kinds` are unit rows (m, d) of pictures without words, of pictures with them and of texts. With a, b, t
    the projected rows of length 1, S = b aᵀ / τ and T = b tᵀ / τ, and P the softmax of a matrix over its rows
    or columns, cross-entropy against the identity has the gradient (P - I) / m by S, and against the uniform
    distribution (P - 1 / m) / m by T; a row x = r / |r| takes g back to (g - x ⟨x, g⟩) / |r|.
    """
    m = len(kinds[0])
    raw = [part @ W for part in kinds]
    lengths = [np.maximum(np.linalg.norm(one, axis=1, keepdims=True), 1e-12) for one in raw]
    a, b, t = (one / length for one, length in zip(raw, lengths, strict=True))
    same = np.eye(m, dtype=W.dtype)
    uniform = np.full_like(same, 1 / m)
    loss, by_alike = _cross_entropy(b @ a.T / temperature, same)
    unread, by_read = _cross_entropy(b @ t.T / temperature, uniform)
    by_read *= forget
    off = W.T @ W - np.eye(W.shape[1], dtype=W.dtype)
    gradient = 4 * W @ off
    sides = (by_alike.T @ b, by_alike @ a + by_read @ t, by_read.T @ b)
    for part, one, length, g in zip(kinds, (a, b, t), lengths, sides, strict=True):
        along = (one * g).sum(axis=1, keepdims=True)
        gradient += part.T @ ((g - one * along) / (length * temperature))
    return loss + forget * unread + float((off * off).sum()), gradient


def _cross_entropy(scores: NDArray[Any], target: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    """Mean cross-entropy against `target` (m, m), half over rows and half over columns, and its gradient."""
    loss, gradient = 0.0, np.zeros_like(scores)
    for axis in (0, 1):
        logs = log_softmax(scores, axis=axis)
        loss -= 0.5 * float((target * logs).sum()) / len(scores)
        gradient += (np.exp(logs) - target) * (0.5 / len(scores))
    return loss, gradient


def default_spelling(build: Build, kind: str) -> Spelling | None:
    """The projection that ships for this build and kind; None where there is none."""
    folder = default_map_path()
    if not (folder / FORM.manifest).is_file():
        return None
    document = read_manifest(folder, FORM)
    fits = document["kind"] == kind and _build_of(document, folder) == build
    return Spelling.load(folder, build, kind) if fits else None


def _build_of(document: Mapping[str, Any], folder: Path) -> Build:
    try:
        return Build.from_json(document["build"])
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise ArtifactError(f"{folder / FORM.manifest} names no build; {FORM.again}") from error
