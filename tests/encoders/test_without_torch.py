"""Judging without torch and transformers: in a fresh interpreter, importing either is an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {
            *("torch", "transformers", "triton", "torchvision", "nvidia"),
            *("faiss", "umap", "numba", "llvmlite", "pynndescent"),
            *("ray", "pandas", "anywidget", "s3fs", "gcsfs"),
        }:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Blocked())
"""


def run(code: str, *arguments: object) -> Any:
    """What the last line of `code`'s output says, as JSON; nothing blocked may have come in."""
    after = "\nassert not {'torch', 'transformers', 'triton'} & set(sys.modules)\n"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKED + code + after, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_encoding_and_extracting(tiny_clip_dir: Path, photo_dir: Path, tmp_path: Path):
    found = run(
        """
import json
import numpy as np
from morelli.encoders import encoder_for_build, load_encoder
from morelli.features import FeatureTable, extract

encoder = load_encoder(sys.argv[1])
kinds = ["final", "layers", "means", "tokens", "attention", "parts", "headraws"]
traced = encoder.trace(np.ones((2, 3, 64, 64), np.float32), kinds=kinds)
extract(sys.argv[2], sys.argv[3], encoder=encoder, kinds=["final", "layer:2"])
table = FeatureTable.open(sys.argv[3])
again = encoder_for_build(table.build, weights=sys.argv[1])
print(json.dumps({
    "runtime": again.runtime,
    "finite": all(bool(np.isfinite(value).all()) for value in traced.values()),
    "kinds": len(traced),
    "rows": len(table.load(["final"])),
    "norm": float(np.linalg.norm(traced["final"][0] - sum(
        value[0] for kind, value in traced.items()
        if kind.startswith(("head:", "mlp:", "embedding"))
    ))),
    "embedding": float(np.linalg.norm(traced["final"][0])),
}))
""",
        tiny_clip_dir,
        photo_dir,
        tmp_path / "F.lance",
    )
    assert found["runtime"].startswith("openvino")
    assert found["finite"]
    assert found["kinds"] == 1 + 4 + 4 + 1 + 1 + (16 + 4 + 1) + 16
    assert found["rows"] > 5
    assert found["norm"] <= 1e-5 * found["embedding"]


def test_what_needs_torch_says_so_in_one_sentence(tiny_clip_dir: Path, family_dirs, tmp_path: Path):
    (tmp_path / "config.json").write_bytes((tiny_clip_dir / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK")
    found = run(
        """
import json
from morelli.encoders import load_encoder
from morelli.errors import MorelliError

clip = sys.argv[1]
tries = {
    "family": lambda: load_encoder(sys.argv[2]),
    "runtime": lambda: load_encoder(clip, runtime="torch"),
    "device": lambda: load_encoder(clip, device="cuda"),
    "text": lambda: load_encoder(clip).require_text(),
    "format": lambda: load_encoder(sys.argv[3]),
}
said = {}
for name, attempt in tries.items():
    try:
        attempt()
    except MorelliError as error:
        said[name] = str(error)
print(json.dumps(said))
""",
        tiny_clip_dir,
        family_dirs["dinov2"],
        tmp_path,
    )
    assert set(found) == {"family", "runtime", "device", "text", "format"}
    for name, text in found.items():
        assert text.endswith("install it with: pip install 'morelli[torch]'"), (name, text)
        assert "\n" not in text
    assert found["device"].startswith("The device 'cuda' needs torch and transformers")
    assert "pytorch_model.bin" in found["format"]


def test_openvino_reports_nothing(tiny_clip_dir: Path, tmp_path: Path):
    """As it comes, importing OpenVINO forks, calls a web address and writes into the user's home."""
    found = run(
        """
import json
import os
happened = []
WATCHED = ("os.fork", "os.posix_spawn", "subprocess.Popen", "socket.connect", "socket.getaddrinfo")
sys.addaudithook(lambda event, _: happened.append(event) if event in WATCHED else None)
home = sys.argv[2]
os.environ |= {"HOME": home, "USERPROFILE": home, "LOCALAPPDATA": home}
os.environ.pop("CI", None)
import numpy as np
from morelli.encoders import load_encoder
encoder = load_encoder(sys.argv[1], runtime="openvino")
encoder.encode(np.zeros((1, 3, 64, 64), np.float32))
print(json.dumps([happened, os.listdir(home), "openvino_telemetry" in sys.modules]))
""",
        tiny_clip_dir,
        tmp_path,
    )
    assert found == [[], [], False]


@pytest.mark.encoder
def test_the_shipped_detector_judges_a_picture(real_encoder, photo_dir: Path):
    picture = next(photo_dir.glob("*.jpg"))
    found = run(
        """
import json
from morelli.cli import main
sys.argv = ["morelli", "detect", sys.argv[1], "--offline", "--jsonl", "-"]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
""",
        picture,
    )
    assert found["verdict"] in {"real", "inconclusive", "ai", "out_of_domain"}
