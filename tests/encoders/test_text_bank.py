from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from morelli.encoders import TextBank
from morelli.errors import ArtifactError, UsageError


@given(
    vectors=hnp.arrays(np.float32, (4, 6), elements=st.floats(-10, 10, width=32)).filter(
        lambda a: np.linalg.norm(a, axis=1).min() > 1e-3
    ),
    scale=st.floats(0.01, 100),
)
def test_length_never_matters(vectors, scale):
    bank = TextBank.of("abcd", vectors)
    np.testing.assert_allclose(np.linalg.norm(bank.vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(
        bank.similarities(vectors * np.float32(scale)), bank.similarities(vectors), atol=1e-5
    )
    np.testing.assert_allclose(np.diag(bank.similarities(vectors)), 1, atol=1e-5)


def test_round_trip_and_best_names_first(tmp_path):
    bank = TextBank.of(["east", "north", "between"], np.array([[2, 0], [0, 3], [1, 1]]), source=["s"] * 3)
    bank.save(tmp_path / "bank.npz")
    again = TextBank.load(tmp_path / "bank.npz")
    assert (again.names, again.source) == (bank.names, bank.source)
    np.testing.assert_allclose(again.vectors, bank.vectors, atol=1e-6)
    order = np.argsort(-again.similarities([[1.0, 0.2]])[0])
    assert [again.names[i] for i in order] == ["east", "between", "north"]
    assert again.select([True, False, True]).names == ("east", "between")


def test_what_is_no_bank_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="text bank"):
        TextBank.load(tmp_path / "missing.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ArtifactError):
        TextBank.load(tmp_path / "text.npz")
    np.savez(tmp_path / "lacks.npz", emb=np.eye(3))
    with pytest.raises(ArtifactError, match="names"):
        TextBank.load(tmp_path / "lacks.npz")
    with pytest.raises(ArtifactError, match="one row per name"):
        TextBank.of(["a"], np.eye(2))
    with pytest.raises(ArtifactError, match="zero or not finite"):
        TextBank.of(["a", "b"], [[1, 0], [0, 0]])
    with pytest.raises(UsageError, match="different encoders"):
        TextBank.of(["a"], [[1.0, 0.0]]).similarities(np.ones((1, 3)))


def test_nothing_is_unpickled(tmp_path):
    class Hostile:
        def __reduce__(self):
            return ((tmp_path / "ran").touch, ())

    np.savez(tmp_path / "bad.npz", names=np.array([Hostile()], dtype=object), emb=np.eye(1))
    with pytest.raises(ArtifactError):
        TextBank.load(tmp_path / "bad.npz")
    (tmp_path / "bad.npz").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ArtifactError):
        TextBank.load(tmp_path / "bad.npz")
    assert not (tmp_path / "ran").exists()
