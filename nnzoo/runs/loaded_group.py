"""A group of runs (`--seeds`, `--folds`) opened as one network: which of its runs take part, and which do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nnzoo.config.options import is_name
from nnzoo.errors import CheckpointError, UsageError
from nnzoo.file_io import SUMMARY
from nnzoo.models.group_network import GroupNetwork
from nnzoo.models.network import Network
from nnzoo.runs.run_index import members_of, read_run
from nnzoo.text import Note, list_some, plural

Load = Callable[[Path], tuple[Network, Path, str]]


def load_group(path: Path, load: Load) -> tuple[GroupNetwork, str]:
    """The complete runs of a group as one network, and a note on those that are not, or cannot be read; load: of the
    network of a run.

    Raises CheckpointError if no run is complete, or they cannot be averaged; UsageError for language models.
    """
    names = members_of(path)
    if not names:
        raise CheckpointError(
            f"{path / SUMMARY} names no runs of a group; the command that trained it writes it again",
            code="E69",
        )
    states = {name: _state(path / name) for name in names}
    networks, notes, errors = [], [], []
    for name in [name for name, state in states.items() if state == "complete"]:
        try:
            network, _, note = load(path / name)
        except CheckpointError as error:
            states[name] = "damaged"
            errors.append(error)
            continue
        networks.append(network)
        notes += [note] if note else []
    others = [f"{name} ({state})" for name, state in states.items() if state != "complete"]
    if not networks:
        reason = f"\n{errors[0]}" if errors else ""
        raise CheckpointError(
            f"{path}: no run of this group is complete: {list_some(others, 5, True)}{reason}",
            code="E66",
        )
    if others:
        notes.insert(0, Note("N36", f"left out: {list_some(others, 5, True)}"))
    if networks[0].data_spec.task == "language_model":
        raise UsageError(
            f"{path} is a group of language models, each of which carries a state of its own through the text: their "
            f"predictions are not averaged; give one of them, as in {path / networks[0].config.name}",
            code="E69",
        )
    name = path.resolve().name
    config = networks[0].config
    group = GroupNetwork(replace(config, name=name if is_name(name) else config.name), networks)
    group.eval()
    return group, "; ".join(notes)


def _state(path: Path) -> str:
    """The state of a run, as `run_index.scan` describes it; "missing" if its folder is gone."""
    return str(read_run(path, path.name)["state"]) if path.is_dir() else "missing"


def require_single(network: Network, path: Path, what: str) -> None:
    """Raise UsageError if the network is that of a group; what: is shown of a single one."""
    if network.is_group:
        names = [member.config.name for member in network.networks]
        raise UsageError(
            f"{path} is a group of {plural(len(names), 'run')}; {what} of one of them: {path / names[0]}",
            code="E69",
        )
