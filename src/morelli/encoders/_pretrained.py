"""Loading a transformers model from a folder: quietly, whole, and never with code from the folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli.errors import WeightsError

if TYPE_CHECKING:
    import torch


def load_pretrained(loader: Any, folder: Path, *, dtype: torch.dtype, attention: str = "sdpa") -> Any:
    """The model of class `loader` in a folder in hub format, on the CPU, in evaluation mode.

    Raises:
        WeightsError: it cannot be read, or lacks tensors (which transformers would fill with noise).
    """
    with _quiet():
        try:
            model, report = loader.from_pretrained(
                folder,
                dtype=dtype,
                attn_implementation=attention,
                local_files_only=True,
                trust_remote_code=False,
                weights_only=True,
                output_loading_info=True,
            )
        except Exception as error:  # transformers and the formats below it have no common root of errors
            raise WeightsError(f"transformers cannot load {folder}: {error}") from error
    problems = [*report.get("missing_keys", ()), *report.get("mismatched_keys", ())]
    if problems:
        raise WeightsError(
            f"{folder} lacks tensors of a {model.config.model_type}: {sorted(map(str, problems))[:5]}."
        )
    return model.eval().requires_grad_(requires_grad=False)


def load_config(folder: Path) -> Any:
    """The folder's configuration as transformers reads it."""
    import transformers

    try:
        return transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise WeightsError(f"transformers cannot read the configuration in {folder}: {error}") from error


def load_tokenizer(folder: Path) -> Any:
    """The folder's tokenizer."""
    import transformers

    with _quiet():
        try:
            return transformers.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:
            raise WeightsError(f"The tokenizer in {folder} cannot be loaded: {error}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars and without reports of the tensors that another tower needs."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
