"""Artefacts on disk: written whole or not at all, synced, locked, and checked before they are used.

A folder of JSON and tensors is written by `write_folder` and read by `read_folder`; its kind is a `Format`.
`replacing_folder` and `replacing_file` are for what other libraries write. Whoever changes an artefact
holds it with `locked` from reading to writing. Everything that is wrong with what is read is an
`ArtifactError` that names the file.
"""

from morelli.artefacts._file import write_file
from morelli.artefacts._folder import Format, read_folder, write_folder
from morelli.artefacts._lock import locked
from morelli.artefacts._plain import plain_json
from morelli.artefacts._replace import replacing_folder
from morelli.artefacts._schema import COUNT, Number
from morelli.artefacts._tensors import Tensors

__all__ = [
    "COUNT",
    "Format",
    "Number",
    "Tensors",
    "locked",
    "plain_json",
    "read_folder",
    "replacing_folder",
    "write_file",
    "write_folder",
]
