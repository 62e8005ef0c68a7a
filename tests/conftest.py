"""Fixtures that every room's tests share: real photographs, a small real CLIP, the real encoder."""

from __future__ import annotations

import os

# Before anything loads OpenMP: its threads spin while they wait, and on a busy machine every test crawls.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Workers of xdist share the cores, so that a library which takes all of them waits for the other worker.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    SHARE = str(max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])))
    for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(library, SHARE)

import faulthandler
import gc
import signal
import tempfile
from collections.abc import Generator, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key

from tests.alarm import after
from tests.labelled_collection import write_collection
from tests.planted_atlas import build_planted_atlas
from tests.ray_cluster import start_cluster
from tests.small_models import save_tiny_clip
from tests.wheel_photos import load_photos

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from morelli.encoders import Encoder

ROOT = Path(__file__).resolve().parent.parent
# A job in a shell's background ignores Ctrl-C, and so would what tests start and then interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
LONGEST_FIRST = (
    *("documentation/test_pages", "app/test_explore_access", "app", "cli/test_first_run", "cli", "server"),
    *("explanation/test_generator_explanation", "artefacts/test_kills", "features/test_kill", "features"),
    *(
        "encoders/test_openvino",
        "encoders/test_real",
        "atlas/test_patterns_real",
    ),
    *("documentation/test_docstrings", "artefacts/test_damage"),
)
"""Files, and folders whose files share fixtures, that take long. Workers take whole files in this order, so
that no worker begins a long one when the others have nothing left."""


def hung(item: pytest.Item) -> Path:
    """A file that is there if this test hung in this run."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    return Path(tempfile.gettempdir(), f"morelli-{sha256(f'{run} {item.nodeid}'.encode()).hexdigest()}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """End the process of a test that hangs in what follows a failure or in compiled code.

    The limit of pytest-timeout ends with the first exception, and its signal waits for Python code: a browser
    that cannot be closed after a failed test would keep all others waiting for ever.
    """

    def give_up() -> None:
        stderr = item.config.stash[fault_handler_stderr_fd_key]
        os.write(stderr, f"\n{item.nodeid} hangs; its process ends.\n".encode())
        faulthandler.dump_traceback(stderr)
        hung(item).touch()
        os._exit(1)

    with after(1.1 * float(item.config.getini("timeout")), give_up):
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Where a process ended, xdist starts another one, which would begin with the same test."""
    if hung(item).exists():
        hung(item).unlink()
        pytest.fail("it hung in the process before")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """After too many such ends xdist leaves the rest out: that is not what failed tests are."""
    distributed = session.config.pluginmanager.getplugin("dsession")
    if distributed is not None and getattr(distributed.sched, "workqueue", None):
        session.exitstatus = pytest.ExitCode.INTERRUPTED


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without looking for garbage, of which there is next to none, and never look there again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes long first; within a file, and among all the others, the order stays."""

    places = {ROOT / "tests" / name: at for at, name in enumerate(LONGEST_FIRST)}

    @cache
    def place(path: Path) -> int:
        return min(places.get(one, len(places)) for one in (path.with_suffix(""), path.parent))

    items.sort(key=lambda item: place(item.path))


@pytest.fixture(scope="session", autouse=True)
def _not_waiting_for_disks() -> Iterator[None]:
    """A sync must name an open file and then returns at once: tests lose nothing with a power failure, and
    artefacts sync every file and folder that they write."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: os.fstat(descriptor) and None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _commands_made_once() -> Iterator[None]:
    """Typer's runner would make all commands of the program for each run of one of them."""
    from typer import testing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(testing, "_get_command", cache(testing._get_command))
        yield


@pytest.fixture(scope="session", autouse=True)
def _forests_of_equal_rows() -> Iterator[None]:
    """Tests judge the same tables' file facts over and over: a forest is fitted once to equal rows."""
    from morelli.audit import _metadata_baseline

    fitted: dict[object, object] = {}

    class Remembered:
        make = staticmethod(_metadata_baseline._forest)

        def __init__(self, *settings: int) -> None:
            self.settings = settings

        def fit(self, X: np.ndarray, y: np.ndarray) -> object:
            rows = (*self.settings, X.shape, X.tobytes(), y.tobytes())
            if rows not in fitted:
                fitted[rows] = self.make(*self.settings).fit(X, y)
            return fitted[rows]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_metadata_baseline, "_forest", Remembered)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The development images beside the checkout; they are not part of the project."""
    folder = ROOT.parent / "shared" / "data"
    if not (folder / "aigi-dev" / "manifest.csv").is_file():
        pytest.skip("needs the development images in ../shared/data, which are not part of the project")
    return folder


@pytest.fixture(scope="session")
def built_views() -> Path:
    """The views of an atlas for notebooks, as `npm run build` leaves them."""
    folder = ROOT / "src" / "morelli" / "notebook" / "static"
    if not (folder / "atlas.js").is_file():
        pytest.skip("needs the built app: make app")
    return folder


@pytest.fixture(scope="session")
def photos() -> list[tuple[str, Image.Image]]:
    """Real RGB photographs out of the scikit-image and scikit-learn wheels."""
    return load_photos()


@pytest.fixture(scope="session")
def photo_dir(tmp_path_factory: pytest.TempPathFactory, photos: list[tuple[str, Image.Image]]) -> Path:
    """A folder of real photographs in several formats, the subfolder `more` included."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    suffixes = [".jpg", ".png", ".webp", ".tif"]
    for index, (name, image) in enumerate(photos):
        suffix = suffixes[index % len(suffixes)]
        parent = folder / "more" if index % 3 == 2 else folder
        image.save(parent / f"{name}{suffix}", **({"quality": 92} if suffix in {".jpg", ".webp"} else {}))
    return folder


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory, photos: list[tuple[str, Image.Image]]) -> Path:
    """A folder with real/<photograph>/ and fake/<generator>/, 60 crops each, written as PNG."""
    return write_collection(tmp_path_factory.mktemp("collection"), photos)


@pytest.fixture(scope="session")
def tiny_clip_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of the real architecture with both towers, small, in the hub's folder format."""
    return save_tiny_clip(tmp_path_factory.mktemp("models") / "tiny-clip")


@pytest.fixture(scope="session")
def other_b16_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a hub may hold as `openai/clip-vit-base-patch16`: other weights than the shipped ones, small,
    with both towers, of the same input and the same length of the embedding."""
    folder = tmp_path_factory.mktemp("models") / "other-b16"
    return save_tiny_clip(folder, image_size=224, projection_dim=512, seed=5)


@pytest.fixture(scope="session")
def planted_atlas_dir(
    tmp_path_factory: pytest.TempPathFactory, collection: Path, tiny_clip_dir: Path
) -> Path:
    """An atlas of the collection; its table lies beside it. Tests that edit it work on copies."""
    return build_planted_atlas(tmp_path_factory.mktemp("planted"), collection, tiny_clip_dir)


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """The address of a Ray cluster of two cores on this machine, which this process is connected to."""
    yield from start_cluster()


@pytest.fixture(scope="session")
def real_encoder() -> Iterator[Encoder]:
    """The real CLIP ViT-B/16, fetched into the user's cache once."""
    from morelli.encoders import load_encoder

    yield load_encoder("clip-vit-b16")
