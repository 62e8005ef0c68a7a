"""Hours and cost of an extraction, from rates that were measured and prices that you give.

    python benchmarks/plan_cluster.py --machine "c7i.8xlarge 60 1.43 20" --machine "g6.xlarge 900 0.80 8"
    python benchmarks/plan_cluster.py --measure photos/ --machine "this 0.35 4"

A machine is its name, the images a second that one of them encodes, its price an hour, and how many of
them run at once. With --measure the rate is left out of the machine named `this`: it is measured here, on
a sample of the source, with the encoder and the kinds that are asked for. Nothing about prices is known to
the program, and none of these figures is a promise: measure one machine of each type on your own images.
"""

from __future__ import annotations

import argparse
import math
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

SIZES = (10**6, 10**7, 10**8, 10**9)
EFFICIENCY = 0.9
"""Share of the machines' summed rate that a job is planned with: stragglers, restarts, the last shards."""
START_HOURS = 0.05
"""Until the workers have started and the encoder is loaded."""
SHARD_SECONDS = 0.021
"""The least for a shard of 512 images, however many workers: `cluster.py listing` on two shared cores."""


@dataclass(frozen=True)
class Machine:
    """A type of machine: images a second and price an hour of one, and how many there are."""

    name: str
    rate: float
    price: float
    count: int

    @classmethod
    def parse(cls, text: str, measured: float | None) -> Machine:
        """``NAME RATE PRICE COUNT``; of `this` the rate is the measured one."""
        name, *numbers = text.split()
        if name == "this" and measured is not None:
            numbers.insert(0, str(measured))
        try:
            rate, price, count = (float(number) for number in numbers)
        except ValueError:
            raise SystemExit(f"a machine is 'NAME RATE PRICE COUNT', not {text!r}") from None
        if min(rate, count) <= 0 or price < 0:
            raise SystemExit(f"rate and count of {name} are above 0, its price is not below")
        return cls(name, rate, price, int(count))

    def plan(self, images: int, row_bytes: int) -> Plan:
        """What so many images take."""
        coordinator = SHARD_SECONDS * images / 512
        seconds = max(images / (self.rate * self.count * EFFICIENCY), coordinator)
        hours = START_HOURS + seconds / 3600
        return Plan(
            images,
            hours,
            self.price * self.count * hours,
            images * row_bytes / 1e12,
            # 17 bytes an image are remembered, three times that while two halves are joined.
            0.35 + 3 * 17 * images / 1e9,
        )


@dataclass(frozen=True)
class Plan:
    """Hours, cost, terabytes of the table, and gigabytes of memory that the coordinator takes."""

    images: int
    hours: float
    cost: float
    terabytes: float
    coordinator: float

    def row(self) -> str:
        """One line of the table."""
        time = f"{self.hours:.1f} h" if self.hours < 48 else f"{self.hours / 24:.1f} days"
        return (
            f"| {self.images:,} | {time} | {math.ceil(self.cost):,} | {self.terabytes:.3g} TB "
            f"| {self.coordinator:.2g} GB |"
        )


def measure(source: str, encoder: str, kinds: list[str], sample: int) -> tuple[float, int]:
    """Images a second of this machine, start left out, and bytes of a row."""
    from itertools import islice

    from morelli.encoders import load_encoder
    from morelli.features import FeatureTable, extract
    from morelli.images import iter_source

    loaded = load_encoder(encoder)
    folder = Path(tempfile.mkdtemp())
    try:
        items = list(islice(iter_source(source, remote="given"), sample + 32))
        extract(items[:32], folder / "warm.lance", encoder=loaded, kinds=kinds, dtype="float16")
        report = extract(items[32:], folder / "F.lance", encoder=loaded, kinds=kinds, dtype="float16")
        if not report.done:
            raise SystemExit(f"{source} gave no image beyond the first 32 to measure with")
        return report.done / report.seconds, FeatureTable.open(folder / "F.lance").spec.row_bytes
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--machine", action="append", required=True, metavar="'NAME RATE PRICE COUNT'")
    parser.add_argument("--measure", metavar="SOURCE", help="measure the rate of `this` on a sample")
    parser.add_argument("--sample", type=int, default=256, help="images to measure with")
    parser.add_argument("--encoder", default="clip-vit-b16")
    parser.add_argument("--kinds", default="final,layers")
    parser.add_argument(
        "--row-bytes", type=int, default=19456, help="of a stored image; measured with --measure"
    )
    arguments = parser.parse_args()
    measured, row_bytes = None, arguments.row_bytes
    if arguments.measure:
        measured, row_bytes = measure(
            arguments.measure, arguments.encoder, arguments.kinds.split(","), arguments.sample
        )
        print(f"this machine: {measured:.1f} images/s with {arguments.encoder}, {arguments.kinds}\n")
    for text in arguments.machine:
        machine = Machine.parse(text, measured)
        print(
            f"{machine.count} x {machine.name}, {machine.rate:.1f} images/s, {machine.price} an hour each\n"
        )
        print("| images | time | cost | table | memory of the coordinator |\n|---|---|---|---|---|")
        for size in SIZES:
            print(machine.plan(size, row_bytes).row())
        print()


if __name__ == "__main__":
    main()
