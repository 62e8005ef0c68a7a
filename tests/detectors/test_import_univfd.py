"""The published UnivFD head comes in as data; anything that could run code is refused unread."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from morelli.detectors import Bundle, import_univfd
from morelli.detectors._torch_file import read_tensors
from morelli.errors import ArtifactError
from morelli.features import Features


def head(norm: float = 6.2001, bias: float = -0.51670):
    """A head of the published norm and bias (the weights themselves are of the test)."""
    import torch

    weight = np.random.default_rng(0).normal(size=(1, 768))
    weight *= norm / np.linalg.norm(weight)
    return torch.tensor(weight, dtype=torch.float32), torch.tensor([bias], dtype=torch.float32)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("form", ["plain", "model", "fc", "module", "parameter"])
def test_every_way_the_head_is_saved_gives_its_logits(tmp_path: Path, form: str, legacy: bool) -> None:
    import torch

    weight, bias = head()
    state = {
        "plain": {"weight": weight, "bias": bias},
        "model": {"model": {"fc.weight": weight, "fc.bias": bias}, "total_steps": 3},
        "fc": {"fc.weight": weight, "fc.bias": bias},
        "module": torch.nn.Linear(768, 1).state_dict(),
        "parameter": {"weight": torch.nn.Parameter(weight), "bias": torch.nn.Parameter(bias)},
    }[form]
    if form == "module":
        state["weight"].copy_(weight)
        state["bias"].copy_(bias)
    file = tmp_path / "fc_weights.pth"
    torch.save(state, file, _use_new_zipfile_serialization=not legacy)
    bundle = import_univfd(file)
    assert (bundle.build.encoder, bundle.build.transform) == ("clip-vit-l14", "univfd-224-crop-v1")
    X = np.random.default_rng(1).normal(size=(5, 768)).astype(np.float32)
    expected = (torch.tensor(X) @ weight.T + bias)[:, 0].numpy()
    features = Features.from_arrays(X, build=bundle.build)
    np.testing.assert_allclose(bundle.logits(features), expected, atol=1e-5)
    np.testing.assert_allclose(bundle.probabilities(features), 1 / (1 + np.exp(-expected)), atol=1e-6)
    bundle.save(tmp_path / "bundle")
    verdicts = Bundle.load(tmp_path / "bundle").verdicts(features)
    assert [v.verdict for v in verdicts] == ["ai" if z > 0 else "real" for z in expected]
    assert "whose error rate nobody measured" in verdicts[0].reasons[0]
    assert "sigmoid of the raw logit" in (tmp_path / "bundle" / "MODEL_CARD.md").read_text()


def test_strided_and_sliced_tensors_are_read_as_they_are(tmp_path: Path) -> None:
    import torch

    full = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    torch.save(
        {"t": full.T, "part": full[1:3, 2:5], "half": full.half(), "wide": full.double()}, tmp_path / "t.pth"
    )
    found = read_tensors(tmp_path / "t.pth")
    np.testing.assert_array_equal(found["t"], full.T.numpy())
    np.testing.assert_array_equal(found["part"], full[1:3, 2:5].numpy())
    np.testing.assert_array_equal(found["half"], full.half().numpy())
    np.testing.assert_array_equal(found["wide"], full.double().numpy())


@pytest.mark.parametrize("change", [{"norm": 6.3}, {"bias": -0.4}])
def test_another_head_needs_force(tmp_path: Path, change: dict[str, float]) -> None:
    import torch

    weight, bias = head(**change)
    torch.save({"weight": weight, "bias": bias}, tmp_path / "h.pth")
    with pytest.raises(ArtifactError, match="not the published head"):
        import_univfd(tmp_path / "h.pth")
    bundle = import_univfd(tmp_path / "h.pth", force=True)
    assert any("imported by force" in note for note in bundle.notes)


class _Runs:
    """What a malicious file does: a call on loading."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_that_would_run_code_is_refused_and_does_not_run(
    tmp_path: Path, nested: bool, legacy: bool
) -> None:
    import torch

    marker = tmp_path / "it_ran"
    weight, bias = head()
    bomb = _Runs(marker)
    state = {"weight": weight, "bias": bias, "more": bomb} if nested else bomb
    torch.save(state, tmp_path / "evil.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ArtifactError, match="refused unread"):
        import_univfd(tmp_path / "evil.pth", force=True)
    assert not marker.exists()


def test_rubbish_is_refused_with_a_reason(tmp_path: Path) -> None:
    import torch

    cases = {
        "empty": b"",
        "text": b"not weights",
        "pickle": pickle.dumps({"weight": [1.0]}),
        "builtin": b"cbuiltins\neval\n(S'1'\ntR.",
        "zip": b"PK\x03\x04broken",
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ArtifactError, match=name):
            import_univfd(tmp_path / name)
    with pytest.raises(ArtifactError, match="cannot be read"):
        import_univfd(tmp_path / "nowhere.pth")
    torch.save({"weight": torch.zeros(1, 512), "bias": torch.zeros(1)}, tmp_path / "b16.pth")
    with pytest.raises(ArtifactError, match=r"\(1, 512\)"):
        import_univfd(tmp_path / "b16.pth")
    torch.save({"a.weight": torch.zeros(1, 768), "b.weight": torch.zeros(1, 768)}, tmp_path / "two.pth")
    with pytest.raises(ArtifactError, match="one weight and one bias"):
        import_univfd(tmp_path / "two.pth")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    import torch

    weight, bias = head()
    for legacy in (False, True):
        file = tmp_path / "cut.pth"
        torch.save({"weight": weight, "bias": bias}, file, _use_new_zipfile_serialization=not legacy)
        data = file.read_bytes()
        for length in range(0, len(data), 97):
            file.write_bytes(data[:length])
            with pytest.raises(ArtifactError):
                import_univfd(file)


def test_an_imported_head_becomes_honest_on_labelled_images(tmp_path: Path) -> None:
    import torch

    weight, bias = head()
    torch.save({"weight": weight, "bias": bias}, tmp_path / "h.pth")
    bundle = import_univfd(tmp_path / "h.pth")
    rng = np.random.default_rng(2)
    y = np.arange(200) % 2
    X = rng.normal(size=(200, 768)) + np.outer(y - 0.5, weight[0].numpy()) * 0.4
    features = Features.from_arrays(X, labels=y, build=bundle.build)
    tuned = bundle.recalibrated(features)
    assert tuned.calibration.method == "platt"
    logits = tuned.logits(features)
    assert (logits[y == 0] > tuned.ai.logit).mean() <= 0.05
    assert {v.verdict for v in tuned.verdicts(features)} >= {"ai", "real", "inconclusive"}
    assert tuned.with_fpr(0.02).ai.logit >= tuned.ai.logit
    assert "200 other images" in tuned.notes[-1]
