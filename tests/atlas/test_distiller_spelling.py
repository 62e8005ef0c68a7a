"""Forget-to-spell: closed form, learnt, saved, and on real pictures with real words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from morelli.atlas.distiller import Distiller, default_map_path
from morelli.atlas.distiller._activation import unit_rows
from morelli.atlas.distiller._overlay_features import overlay_features
from morelli.atlas.distiller._overlays import Overlays
from morelli.atlas.distiller._spelling import Spelling, default_spelling, forgetting
from morelli.encoders import Build, Encoder
from morelli.errors import ArtifactError, BuildMismatchError, UsageError

BUILD = Build("tiny", "0" * 64, "clip-224", "float32")
Photos = list[tuple[str, Image.Image]]


def moved(seed: int = 0, n: int = 400, d: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, the same rows with words (moved along two planted directions), and those directions."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(np.random.default_rng(3).normal(size=(d, 2)))[0]
    before = rng.normal(size=(n, d))
    return before, before + 4 * rng.normal(size=(n, 2)) @ directions.T, directions


def test_planted_directions_are_left_out_and_the_rest_is_kept() -> None:
    before, words, directions = moved()
    spelling = Spelling.from_overlays(before, words, keep=18)
    assert np.linalg.norm(directions.T @ spelling.basis) < 0.15
    np.testing.assert_allclose(spelling.basis.T @ spelling.basis, np.eye(18), atol=1e-9)
    fresh, drawn, _ = moved(seed=1)
    delta = drawn - fresh
    assert np.linalg.norm(delta @ spelling.basis) < 0.1 * np.linalg.norm(delta)


def test_directions_that_vary_anyway_are_given_up_last() -> None:
    """Two directions are moved alike; the one in which pictures differ more loses less by staying."""
    rng = np.random.default_rng(0)
    before = rng.normal(size=(2000, 6)) * [3, 0.3, 1, 1, 1, 1] + 20 * np.eye(6)[5]
    words = before.copy()
    words[:, :2] += rng.normal(size=(2000, 2))
    kept = Spelling.from_overlays(before, words, keep=5, ridge=0.0).basis
    assert np.linalg.norm(kept[0]) > 0.95 > 0.5 > np.linalg.norm(kept[1])


def test_pairs_make_the_logit_stay() -> None:
    """Classes differ in a direction that words move and in one that they do not: the second is learnt."""
    before, words, directions = moved()
    y = np.arange(400) % 2
    shift = np.outer(2.0 * y, directions[:, 0] + np.linalg.svd(directions.T)[2][-1])
    before, words = before + shift, words + shift
    spelling = Spelling.from_overlays(before, words, keep=20)  # nothing is left out
    settings = {"n_seeds": 1, "max_steps": 600, "invariance": 1.0}
    plain = Distiller(4, spelling=Spelling(spelling.basis), **settings).fit(before, y)
    taught = Distiller(4, spelling=spelling, **settings).fit(before, y)
    fresh, drawn, _ = moved(seed=2)
    fresh, drawn = fresh + shift, drawn + shift

    def moves(model: Distiller) -> float:
        logit = model.decision_function
        return float(np.abs(logit(drawn) - logit(fresh)).mean() / logit(fresh).std())

    assert moves(taught) < 0.5 * moves(plain)
    assert taught.score(fresh, y) > 0.75
    off = Distiller(4, spelling=spelling, **{**settings, "invariance": 0.0}).fit(before, y)
    np.testing.assert_array_equal(off.A_, plain.A_)


def test_bad_spellings_are_refused() -> None:
    before, words, _ = moved(n=10)
    with pytest.raises(UsageError, match="must match"):
        Spelling.from_overlays(before, words[:5])
    with pytest.raises(UsageError, match="keep"):
        Spelling.from_overlays(before, words, keep=21)
    with pytest.raises(UsageError, match="orthonormal"):
        Spelling(np.ones((4, 2)))
    with pytest.raises(UsageError, match="both or neither"):
        Spelling(np.eye(4), before=np.ones((3, 4)))
    with pytest.raises(UsageError, match="length 4"):
        Distiller(2, spelling=Spelling(np.eye(4))).fit(before, np.arange(10) % 2)


def test_a_spelling_comes_back_and_only_for_its_build(tmp_path: Path) -> None:
    before, words, _ = moved(n=50)
    made = Spelling.from_overlays(before, words, words)
    made.save(tmp_path, BUILD)
    read = Spelling.load(tmp_path, BUILD)
    np.testing.assert_allclose(read.basis, made.basis, atol=2e-3)
    np.testing.assert_allclose(read.after, made.after, atol=2e-3)
    assert read.record == made.record
    with pytest.raises(BuildMismatchError):
        Spelling.load(tmp_path, Build("other", "0" * 64, "clip-224", "float32"))
    with pytest.raises(ArtifactError, match="not of layer:3"):
        Spelling.load(tmp_path, BUILD, "layer:3")
    tensors = tmp_path / "spelling.safetensors"
    data = bytearray(tensors.read_bytes())
    data[-1] ^= 1
    tensors.write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match="SHA-256"):
        Spelling.load(tmp_path, BUILD)
    with pytest.raises(ArtifactError, match="no such folder"):
        Spelling.load(tmp_path / "nowhere", BUILD)


def test_split_shares_neither_words_nor_typefaces() -> None:
    one, two = Overlays().split(np.random.default_rng(0))
    assert not set(one.words) & set(two.words)
    assert not set(one.typefaces) & set(two.typefaces)
    with pytest.raises(UsageError, match="unknown typefaces"):
        Overlays(typefaces=("Comic",))


def test_letters_and_blocks_lie_in_the_same_place(photos: Photos) -> None:
    photo = photos[0][1]
    pictures = [
        np.asarray(Overlays().draw(photo, np.random.default_rng(4), letters=letters), dtype=int)
        for letters in (True, False)
    ]
    clean = np.asarray(photo, dtype=int)
    touched = [np.argwhere(np.abs(p - clean).sum(axis=2) > 0) for p in pictures]
    centres = [part.mean(axis=0) for part in touched]
    assert np.linalg.norm(centres[0] - centres[1]) < 0.05 * min(photo.size)
    assert (pictures[0] != pictures[1]).any()


def test_learnt_projection_forgets_words_of_a_real_clip(tiny_encoder: Encoder, photos: Photos) -> None:
    """Both towers of the small CLIP: words are not read from held-out pictures, pictures still are."""
    rng = np.random.default_rng(0)
    overlays = Overlays(lines=1, height=(0.3, 0.5))
    words = sorted(set(overlays.words))[:32]
    crops = []
    for i in range(64):
        photo = photos[i % len(photos)][1]
        left, top = (int(rng.integers(0, side - 96)) for side in photo.size)
        crops.append(photo.crop((left, top, left + 96, top + 96)))
    before = overlay_features(tiny_encoder, crops)
    drawn = np.concatenate(
        [
            overlay_features(
                tiny_encoder, [crop], Overlays(words=(words[i % 32],), made_up=0.0, lines=1), seed=i
            )
            for i, crop in enumerate(crops)
        ]
    )
    texts = tiny_encoder.require_text().encode([words[i % 32] for i in range(64)])
    spelling = Spelling.learn(before[:48], drawn[:48], texts[:48], keep=16, steps=200)
    np.testing.assert_allclose(spelling.basis.T @ spelling.basis, np.eye(16), atol=1e-6)

    def certainty(basis: np.ndarray) -> float:
        """How far texts can be told by held-out pictures: spread of cosines over texts."""
        a, t = (unit_rows(unit_rows(part) @ basis) for part in (drawn[48:], texts[:32]))
        return float((a @ t.T).std(axis=1).mean())

    random = np.linalg.qr(rng.normal(size=(32, 16)))[0]
    assert certainty(spelling.basis) < 0.7 * certainty(random)
    a, b = (unit_rows(spelling.project(part[48:])) for part in (before, drawn))
    alike = b @ a.T
    assert np.diag(alike).mean() > alike.mean() + 0.1


@pytest.mark.parametrize("forget", [0.0, 1.0])
def test_the_learnt_projections_gradient_is_that_of_autograd(forget: float) -> None:
    """The loss as written in torch, in float64, at a projection that is not orthonormal."""
    rng = np.random.default_rng(0)
    rows = [unit_rows(rng.normal(size=(12, 9))) for _ in range(3)]
    start = rng.normal(size=(9, 4))
    loss, gradient = forgetting(start, rows, forget, 0.07)
    W = torch.from_numpy(start).requires_grad_()
    a, b, t = (functional.normalize(torch.from_numpy(part) @ W, dim=1) for part in rows)
    same, alike, read = torch.arange(12), b @ a.T / 0.07, b @ t.T / 0.07
    expected = 0.5 * (functional.cross_entropy(alike, same) + functional.cross_entropy(alike.T, same))
    uniform = functional.log_softmax(read, 1).mean() + functional.log_softmax(read, 0).mean()
    expected = expected - 0.5 * forget * uniform + ((W.T @ W - torch.eye(4)) ** 2).sum()
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-10)
    np.testing.assert_allclose(gradient, W.grad, rtol=1e-8, atol=1e-10)


def test_the_default_projection_is_for_the_default_build_only() -> None:
    from morelli.atlas.distiller import DistilledMap

    build = DistilledMap.load(default_map_path()).build
    spelling = default_spelling(build, "final")
    assert spelling is not None and spelling.basis.shape == (512, 256)
    assert spelling.before is not None
    assert default_spelling(build, "layer:12") is None
    assert default_spelling(BUILD, "final") is None


@pytest.mark.encoder
def test_a_word_moves_the_real_logit_less(real_encoder: Encoder, photos: Photos) -> None:
    """The default projection on photographs, words and a typeface that it has not seen."""
    _, unseen = Overlays().split(np.random.default_rng(0))
    pictures = [photo for _, photo in photos]
    clean = overlay_features(real_encoder, pictures)
    drawn = overlay_features(real_encoder, pictures, unseen, seed=9)
    spelling = default_spelling(real_encoder.build, "final")
    assert spelling is not None
    before, after = unit_rows(clean), unit_rows(drawn)
    moves = np.linalg.norm((after - before) @ spelling.basis, axis=1) / np.linalg.norm(after - before, axis=1)
    # Half of the dimensions at random would keep 0.71 of a move's length.
    assert moves.mean() < 0.6
