#!/usr/bin/env bash
# Assumed: constants made with shared_memory=True over a mapped file of weights are what the compiled model
#   computes with, so that the weights are in memory once, and the file must stay in memory.
# Seen: on a CPU compiling and the first inference copy every matrix into memory of the process's own, and
#   read the mapped file no more, whatever the batch; its pages go on to count as resident until somebody gives
#   them back. After madvise(MADV_DONTNEED) on the mapping answers are the same to the last bit and no page comes
#   back: a program that loads weights so holds them twice, and can be rid of half by one call.
# Versions: openvino 2026.4.1, numpy 2.4.6, CPython 3.11, Linux x86-64. Date: 2026-12-01.
# Output seen:
#   weights 128 MB: mapped file resident more than 120 MB, own memory grown by more than 120 MB
#   given back, batches of 1, 3 and 16: mapped file resident less than 1 MB, answers equal
# Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet openvino==2026.4.1 numpy==2.4.6

cat > "$work/look.py" <<'PY'
import mmap
import sys

sys.modules["openvino_telemetry"] = None
import numpy as np
import openvino
from openvino import opset13 as ops

LAYERS, WIDTH, MB = 8, 2048, 1 << 20
path = sys.argv[1]
rng = np.random.default_rng(0)
(rng.standard_normal((LAYERS, WIDTH, WIDTH), dtype=np.float32) / 45).tofile(path)


def resident():
    """Bytes of the mapped file, and of memory of the process's own, that are in memory."""
    of_file, own, here = 0, 0, False
    for line in open("/proc/self/smaps"):
        first = line.split()[0]
        if not first.endswith(":"):
            here = line.rstrip().endswith(path)
        elif first == "Rss:" and here:
            of_file += 1024 * int(line.split()[1])
        elif first == "Anonymous:":
            own += 1024 * int(line.split()[1])
    return of_file, own


def told(size, limit):
    return f"more than {limit} MB" if size > limit * MB else "less than 1 MB" if size < MB else f"{size // MB} MB"


core = openvino.Core()
tiny = ops.parameter([-1, 4], np.float32)  # so that what the runtime loads once is not counted
core.compile_model(openvino.Model([ops.result(ops.relu(tiny))], [tiny]), "CPU")(np.ones((1, 4), np.float32))
values = {n: rng.standard_normal((n, 8, WIDTH)).astype(np.float32) for n in (1, 3, 16)}

with open(path, "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
weights = np.frombuffer(mapped, np.float32).reshape(LAYERS, WIDTH, WIDTH)
y = x = ops.parameter([-1, 8, WIDTH], np.float32)
for layer in weights:
    y = ops.tanh(ops.matmul(y, ops.constant(layer, shared_memory=True), False, True))
_, before = resident()
compiled = core.compile_model(
    openvino.Model([ops.result(y)], [x]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
)
answers = {n: compiled(value)[0].copy() for n, value in values.items()}
of_file, own = resident()
print(
    f"weights {weights.nbytes // MB} MB: mapped file resident {told(of_file, 120)}, "
    f"own memory grown by {told(own - before, 120)}"
)
mapped.madvise(mmap.MADV_DONTNEED)
same = all(np.array_equal(compiled(value)[0], answers[n]) for n, value in values.items())
print(
    f"given back, batches of 1, 3 and 16: mapped file resident {told(resident()[0], 120)}, "
    f"answers {'equal' if same else 'differ'}"
)
PY

seen=$("$work/venv/bin/python" "$work/look.py" "$work/weights.bin")
echo "$seen"
diff <(echo "$seen") <(sed -n '/^# Output seen:/,/^# Exits/ s/^#   //p' "$0")
