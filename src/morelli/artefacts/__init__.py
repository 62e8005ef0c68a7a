"""Artefacts on disk: written whole or not at all, synced, locked, and checked before they are used.

A folder of JSON and tensors is written by `write_folder` and read by `read_folder`; its kind is a `Format`.
`replacing_folder` and `replacing_file` are for what other libraries write, `replacing_results` for folders
of results, which `check_results` checks. `morelli.artefacts.targets` says before the work whether a place can
be written to. Whoever changes an artefact holds it with `locked` from reading to writing. Everything that is
wrong with what is read is an `ArtifactError` that names the file.
"""

from morelli.artefacts._file import replacing_file, write_file
from morelli.artefacts._folder import Format, read_folder, read_manifest, write_folder
from morelli.artefacts._json import document_digest, dump_json, parse_json, read_json
from morelli.artefacts._lock import locked
from morelli.artefacts._plain import plain_json
from morelli.artefacts._reading import read_file
from morelli.artefacts._replace import replacing_folder
from morelli.artefacts._results import check_results, replacing_results, results_folder

__all__ = [
    "Format",
    "check_results",
    "document_digest",
    "dump_json",
    "locked",
    "parse_json",
    "plain_json",
    "read_file",
    "read_folder",
    "read_json",
    "read_manifest",
    "replacing_file",
    "replacing_folder",
    "replacing_results",
    "results_folder",
    "write_file",
    "write_folder",
]
