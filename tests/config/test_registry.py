"""Another package adds a network and a data source without touching nnzoo."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from nnzoo.config import registry
from nnzoo.errors import UsageError

pytestmark = pytest.mark.usefixtures("compiled")

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")


def block(language: str, start: str) -> str:
    """The block of the page about plugins that starts so."""
    (text,) = re.findall(rf"```{language}\n({re.escape(start)}.*?)```", PAGE, flags=re.S)
    return str(text)


OPTIONS, BUILD = block("python", "from typing import Literal"), block("python", "import torch")


def entry_points(project: str) -> str:
    """The file that pip writes for the entry points of a pyproject.toml."""
    groups = tomllib.loads(project)["project"]["entry-points"]
    return "".join(
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
        for group, entries in groups.items()
    )


def test_entry_points_add_a_network_and_a_data_source(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "my_zoo").mkdir(parents=True)
    (site / "my_zoo" / "__init__.py").write_text(OPTIONS)
    (site / "my_zoo" / "build.py").write_text(BUILD)
    info = site / "my_zoo-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-zoo\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points(block("toml", "[project]")))
    Path("spirals.yaml").write_text(block("yaml", "data:"))
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}

    def nnzoo(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "nnzoo", *words],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
        )

    listed = nnzoo("models", "maxout")
    assert "Maxout layer (Goodfellow et al. 2013)." in listed.stdout
    assert "linear pieces" in listed.stdout
    trained = nnzoo("train", "--config", "spirals.yaml")
    assert trained.returncode == 0, trained.stderr
    result = nnzoo("eval", "checkpoints/spirals", "--split", "val", "--json")
    import json

    assert json.loads(result.stdout)["accuracy"] > 0.95
    wrong = nnzoo("check", "spirals.yaml", "-s", "model.peices=2")
    assert wrong.returncode == 2
    assert "did you mean 'pieces'?" in wrong.stderr


def test_an_entry_point_that_fails_or_is_something_else_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points = {
        "good": metadata.EntryPoint("good", "nnzoo.config.registry:MODELS.entries", "g"),
        "broken": metadata.EntryPoint("broken", "no_such_package:x", "g"),
        "other": metadata.EntryPoint("other", "nnzoo.config.registry:Entry", "g"),
    }
    monkeypatch.setattr(registry, "_plugins", lambda group: points)
    for name, message in (
        ("broken", "'broken' comes from no_such_package:x, which fails: No module named"),
        ("other", "'other' comes from nnzoo.config.registry:Entry, which is no nnzoo.config.Entry"),
    ):
        with pytest.raises(UsageError, match=message):
            registry.MODELS.get(name)
    entry = registry.MODELS.entries["mlp"]
    monkeypatch.setattr(metadata.EntryPoint, "load", lambda self: entry)
    assert registry.MODELS.get("good") is entry
    assert registry.MODELS.get("none") is None


# (what is changed, the command's words, what stderr names)
BROKEN_MODELS = {
    "in forward": (
        "return self.head",
        "return self.haed",
        "in my_zoo.build:Maxout.forward, line",
    ),
    "in the constructor": (
        "32 * options.pieces",
        "32 * peices",
        "in my_zoo.build:Maxout.__init__",
    ),
    "inside torch, called by it": (
        "unflatten(1, (32,",
        "unflatten(1, (31,",
        ":Maxout.forward, line",
    ),
    "in load": ("cut = options.rows // 2", "cut = rows // 2", "in my_zoo.build:load, line"),
    "on import": (
        "import torch\n",
        "import torch\nnope\n",
        "in my_zoo.build, line 2: NameError",
    ),
    "syntax": ("import torch\n", "import torch\n)\n", "in my_zoo.build:load: SyntaxError"),
    "its name": ("def load(", "def laod(", "in my_zoo.build:load: AttributeError"),
}


@pytest.mark.parametrize("case", BROKEN_MODELS)
def test_a_plugins_own_error_is_called_its_own(
    case: str, nnzoo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old, new, message = BROKEN_MODELS[case]
    assert old in BUILD
    package = tmp_path / "site" / "my_zoo"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(OPTIONS)
    (package / "build.py").write_text(BUILD.replace(old, new))
    monkeypatch.syspath_prepend(str(package.parent))
    for name in [module for module in sys.modules if module.partition(".")[0] == "my_zoo"]:
        monkeypatch.delitem(sys.modules, name)
    points = {
        group: {name: metadata.EntryPoint(name, f"my_zoo:{name}", group)}
        for group, name in (("nnzoo.models", "maxout"), ("nnzoo.data", "spirals"))
    }
    monkeypatch.setattr(registry, "_plugins", lambda group: points.get(group, {}))
    monkeypatch.setattr(registry, "LOADED_PLUGINS", set())
    Path("s.yaml").write_text("data: spirals\nmodel: maxout\ntrain: {epochs: 1}\n")
    result = nnzoo("train", "s.yaml")
    assert message in result.err
    assert result.code == 6
    assert "nnzoo)" not in result.err and "Traceback" not in result.err
    for name in [module for module in sys.modules if module.partition(".")[0] == "my_zoo"]:
        del sys.modules[name]


def test_an_error_for_the_user_stays_one_when_a_plugin_raises_it_on_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "polite_zoo.py").write_text(
        "from nnzoo.errors import UsageError\nraise UsageError('polite_zoo needs a licence')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "LOADED_PLUGINS", set())
    with pytest.raises(UsageError, match="needs a licence"):
        registry.Entry(object, "polite_zoo:net").load()  # type: ignore[arg-type]
    assert registry.plugin_error(ValueError("of nobody")) is None
