#!/usr/bin/env bash
# Assumed: a model whose weights are stored as int8 (convert, multiply by a scale, matrix product) has only its
#   weights rounded; with INFERENCE_PRECISION_HINT=f32 the products are in float32.
# Seen: on a CPU the other factor is rounded to int8 as well, in groups of 32 values, and the hint does not
#   change that: the compiled model reports float32, and its products are off by about one part in a hundred
#   where float32 is off by less than one in a million. EXECUTION_MODE_HINT=ACCURACY or
#   DYNAMIC_QUANTIZATION_GROUP_SIZE=0 turns it off; a larger group rounds more coarsely. So tests that compare
#   an int8 copy of a model with the original measure both roundings and put them down to the weights.
# Versions: openvino 2026.4.1, numpy 2.4.6, CPython 3.11, Linux x86-64 (AVX-512 VNNI). Date: 2026-11-29.
# Output seen:
#   default: group 32, error above 0.001
#   INFERENCE_PRECISION_HINT=f32: reports float32, group 32, error above 0.001
#   EXECUTION_MODE_HINT=ACCURACY: group 0, error below 0.000001
#   INFERENCE_PRECISION_HINT=f32 DYNAMIC_QUANTIZATION_GROUP_SIZE=0: reports float32, group 0, error below 0.000001
# Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet openvino==2026.4.1 numpy==2.4.6

cat > "$work/look.py" <<'PY'
import sys

sys.modules["openvino_telemetry"] = None
import numpy as np
import openvino
from openvino import opset13 as ops

rng = np.random.default_rng(0)
weights = rng.integers(-127, 128, (512, 512)).astype(np.int8)
scales = (rng.random((512, 1)) * 0.01 + 0.001).astype(np.float32)
values = (rng.standard_normal((2, 64, 512)) * np.exp(rng.standard_normal(512))).astype(np.float32)
x = ops.parameter([-1, 64, 512], np.float32)
matrix = ops.multiply(ops.convert(ops.constant(weights), "f32"), ops.constant(scales))
model = openvino.Model([ops.result(ops.matmul(x, matrix, False, True))], [x])
expected = values.astype(np.float64) @ (weights * scales.astype(np.float64)).T

for settings in (
    {},
    {"INFERENCE_PRECISION_HINT": "f32"},
    {"EXECUTION_MODE_HINT": "ACCURACY"},
    {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0},
):
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    error = np.linalg.norm(compiled(values)[0] - expected) / np.linalg.norm(expected)
    size = "above 0.001" if error > 1e-3 else "below 0.000001" if error < 1e-6 else f"{error:.1e}"
    name = " ".join(f"{key}={value}" for key, value in settings.items()) or "default"
    kind = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    hint = "reports float32, " if "f32" in settings.values() and kind == "f32" else ""
    group = compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE")
    print(f"{name}: {hint}group {group}, error {size}")
PY

seen=$("$work/venv/bin/python" "$work/look.py")
echo "$seen"
diff <(echo "$seen") <(sed -n '/^# Output seen:/,/^# Exits/ s/^#   //p' "$0")
