from __future__ import annotations

import subprocess
import sys

import pytest

from morelli.encoders import expand_kinds
from morelli.encoders._cards import encoder_card
from morelli.encoders._kinds import kind_shape
from morelli.errors import UsageError


def test_groups_spell_out_every_block_in_order_and_once():
    assert expand_kinds(["final", "layers", "layer:2"], layers=3) == [
        "final",
        "layer:1",
        "layer:2",
        "layer:3",
    ]
    assert expand_kinds(["means"], layers=2) == ["mean:1", "mean:2"]
    assert expand_kinds(["layer:6-9", "tokens", "attention:3"], layers=12) == [
        *(f"layer:{k}" for k in range(6, 10)),
        "tokens:12",
        "attention:3",
    ]
    assert expand_kinds("final,layer:8", layers=12) == ["final", "layer:8"]


@pytest.mark.parametrize(
    "kind", ["layer:0", "layer:13", "layer:9-6", "layer", "heads:1", "final:1", "", "layer:x"]
)
def test_what_no_encoder_has_is_refused_by_name(kind):
    with pytest.raises(UsageError) as error:
        expand_kinds([kind], layers=12)
    assert repr(kind) in str(error.value)


def test_no_kind_at_all_is_refused():
    with pytest.raises(UsageError, match="final, layer:k"):
        expand_kinds([], layers=12)


def test_shapes_follow_from_the_card():
    card = encoder_card("clip-vit-l14-336")
    shapes = {
        kind: kind_shape(kind, card) for kind in ("final", "layer:3", "mean:24", "tokens:24", "attention:1")
    }
    assert shapes == {
        "final": (768,),
        "layer:3": (1024,),
        "mean:24": (1024,),
        "tokens:24": (576, 1024),
        "attention:1": (16, 577),
    }


def test_the_room_loads_no_heavy_library():
    code = (
        "import sys; from morelli.encoders import encoder_cards; encoder_cards(); "
        "from morelli.encoders.store import info; info('clip-vit-b16'); "
        "heavy = {'torch', 'transformers', 'onnx', 'huggingface_hub', 'sklearn'} & set(sys.modules); "
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
