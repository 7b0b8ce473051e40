"""Measure the structure of the package: how much there is to read, and how deep a run goes.

    python scripts/measure_house.py                      # all measures of this checkout
    python scripts/measure_house.py --static             # only those that parse files (1 s)
    python scripts/measure_house.py --tree ../old --tree .   # one column per checkout
    python scripts/measure_house.py --names              # and the modules behind the counts

The static measures parse the files of a checkout with `ast` and run on any commit (`git worktree
add ../old 57dc56f`). The others train and predict in a subprocess that imports nnzoo from that
checkout. `tests/test_measures.py` holds the limits.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

# The module that opens and trains a run, by commit: the first that exists is taken.
SPINE = ("nnzoo.runs.run", "nnzoo.run")
ERRORS = {"DataError", "UsageError", "CheckpointError", "NnzooError"}
KEY = re.compile(r"\b(data|model|optim|train)\.[a-z][a-z_]*")


@dataclass
class Tree:
    """A checkout with its package parsed."""

    root: Path
    sources: dict[str, str] = field(default_factory=dict)
    modules: dict[str, ast.Module] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in sorted((self.root / "nnzoo").rglob("*.py")):
            parts = path.relative_to(self.root).with_suffix("").parts
            name = ".".join(parts).removesuffix(".__init__")
            self.files[name] = path
            self.sources[name] = path.read_text()
            self.modules[name] = ast.parse(self.sources[name])

    def lines(self, name: str) -> int:
        return self.sources[name].count("\n")

    def count(self, names: Iterable[str]) -> int:
        """Modules with more than a docstring, so that an empty __init__.py counts nothing."""
        return sum(
            any(not _is_docstring(node) for node in self.modules[name].body) for name in names
        )

    def imports(self, name: str, *, late: bool) -> set[str]:
        """Modules of the package that a module imports; late: also inside functions."""
        imported: set[str] = set()
        for node in _import_nodes(self.modules[name], late=late):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            else:
                base = node.module or ""
                inner = {f"{base}.{alias.name}" for alias in node.names}
                imported |= (inner & self.modules.keys()) or {base}
                if not inner <= self.modules.keys():
                    imported.add(base)
        if late:  # also the modules that a table names as text: "nnzoo.data.tables:Csv"
            imported |= {
                node.value.partition(":")[0]
                for node in ast.walk(self.modules[name])
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
        return imported & self.modules.keys()

    def closure(self, start: str, *, late: bool) -> set[str]:
        """A module and all that importing it imports, packages on the way included."""
        reached: set[str] = set()
        queue = [start]
        while queue:
            name = queue.pop()
            if name in reached:
                continue
            reached.add(name)
            queue += self.imports(name, late=late)
            queue += {name.rpartition(".")[0]} & self.modules.keys()
        return reached


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _import_nodes(tree: ast.AST, *, late: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Import statements of a module, without those for type checkers."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        elif late or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _import_nodes(node, late=late)


def functions(tree: Tree) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for name, module in tree.modules.items():
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name}.{node.name}", node


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def parameter_count(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Parameters without self, cls and ctx; 0 for a command, whose parameters are its options."""
    args = node.args
    annotations = [ast.unparse(arg.annotation) for arg in args.args if arg.annotation]
    if any(re.search(r"typer\.|(Option|Argument)\b", annotation) for annotation in annotations):
        return 0
    names = [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    stars = [arg for arg in (args.vararg, args.kwarg) if arg is not None]
    return len([name for name in names if name not in ("self", "cls", "ctx")]) + len(stars)


def _message(node: ast.expr) -> str:
    """The constant text of a message, with {} for values."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    if isinstance(node, ast.BinOp):
        return _message(node.left) + _message(node.right)
    return "{}"


def errors_without_a_place(tree: Tree) -> list[str]:
    """Raised errors that mention a config key but give none to locate.

    An error gets file, line and column from its `key` or from a message that begins with
    "data.target: ".
    """
    sites = []
    for name, module in tree.modules.items():
        for node in ast.walk(module):
            if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
                continue
            call = node.exc
            if ast.unparse(call.func).rpartition(".")[2] not in ERRORS or not call.args:
                continue
            text = _message(call.args[0])
            mentioned = KEY.search(text)
            placed = len(call.args) > 1 or any(word.arg == "key" for word in call.keywords)
            if mentioned and not placed and not KEY.match(text) and "--set" not in text:
                sites.append(f"{name}:{node.lineno}")
    return sites


def modules_without_a_test(tree: Tree) -> list[str]:
    """Modules nnzoo/a/b.py without tests/a/test_b.py."""
    missing = []
    for name, path in tree.files.items():
        if path.name in ("__init__.py", "__main__.py"):
            continue
        inside = path.relative_to(tree.root / "nnzoo")
        if not (tree.root / "tests" / inside.with_name(f"test_{inside.name}")).exists():
            missing.append(name)
    return missing


@dataclass
class Static:
    """Measures that parsing gives."""

    spine: list[str]
    spine_files: int
    spine_lines: int
    spine_late_files: int
    spine_late_lines: int
    modules: int
    lines: int
    longest_file: tuple[int, str]
    longest_function: tuple[int, str]
    most_parameters: tuple[int, str]
    unplaced_errors: list[str]
    test_lines: int
    untested_modules: list[str]
    fmt_skips: int
    ignored_rules: int

    @property
    def test_ratio(self) -> float:
        return self.test_lines / self.lines


def measure_static(root: Path) -> Static:
    """All measures of a checkout that need no import of nnzoo."""
    tree = Tree(root)
    start = next(name for name in SPINE if name in tree.modules)
    spine = tree.closure(start, late=False)
    spine_late = tree.closure(start, late=True)
    tests = [path.read_text() for path in (root / "tests").rglob("*.py")]
    lint = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    return Static(
        spine=sorted(spine),
        spine_files=tree.count(spine),
        spine_lines=sum(map(tree.lines, spine)),
        spine_late_files=tree.count(spine_late),
        spine_late_lines=sum(map(tree.lines, spine_late)),
        modules=tree.count(tree.modules),
        lines=sum(map(tree.lines, tree.modules)),
        longest_file=max((tree.lines(name), name) for name in tree.modules),
        longest_function=max((function_lines(node), name) for name, node in functions(tree)),
        most_parameters=max((parameter_count(node), name) for name, node in functions(tree)),
        unplaced_errors=errors_without_a_place(tree),
        test_lines=sum(text.count("\n") for text in tests),
        untested_modules=modules_without_a_test(tree),
        fmt_skips=sum(
            text.count("# fmt: skip") + text.count("# fmt: off")
            for text in [*tree.sources.values(), *tests]
        ),
        ignored_rules=len(lint.get("ignore", [])),
    )


@dataclass
class Running:
    """Measures that a short training and one prediction give."""

    frames_to_backward: list[str]
    calls_per_step: int
    predict_modules: list[str]

    @property
    def predict_training(self) -> list[str]:
        return [name for name in self.predict_modules if name.startswith("nnzoo.training")]


# Runs a command in this process and counts frames and calls of the package's own files.
_TRAIN_PROBE = """
import atexit, json, os, statistics, sys
from torch.autograd import Variable
package = os.path.join(os.getcwd(), "nnzoo") + os.sep
engine, frames, counts, calls = Variable._execution_engine, [], [], 0

def profile(frame, event, _):
    global calls
    if event == "call" and frame.f_code.co_filename.startswith(package):
        calls += 1

class Engine:
    def __getattr__(self, name):
        return getattr(engine, name)

    def run_backward(self, *args, **options):
        global calls
        sys.setprofile(None)
        counts.append(calls)
        calls = 0
        frames.clear()  # the last step's count: the first may be a benchmark of autotune
        frame = sys._getframe(1)
        while frame:
            code = frame.f_code
            if code.co_filename.startswith(package):
                frames.append(f"{code.co_filename[len(package):]}:{code.co_qualname}")
            frame = frame.f_back
        sys.setprofile(profile)
        return engine.run_backward(*args, **options)

def write():
    sys.setprofile(None)
    steps = counts[-20:]
    with open(sys.argv[0], "w") as file:
        json.dump({"frames": frames, "calls": int(statistics.median(steps))}, file)

Variable._execution_engine = Engine()
atexit.register(write)
report = sys.argv[1]
sys.argv = [report, *sys.argv[2:]]
from nnzoo.cli import main
main()
"""

_PREDICT_PROBE = """
import atexit, json, sys

def write():
    names = sorted(name for name in sys.modules if name.partition(".")[0] == "nnzoo")
    with open(sys.argv[0], "w") as file:
        json.dump(names, file)

atexit.register(write)
sys.argv = [sys.argv[1], *sys.argv[2:]]
from nnzoo.cli import main
main()
"""


def measure_running(root: Path) -> Running:
    """Train configs/cnn.yaml for two epochs and predict one image, each in its own process."""
    root = root.resolve()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        two_epochs = ["train", "--config", "cnn", "--set", "train.epochs=2", "--verbose", "0"]
        run = _probe(root, _TRAIN_PROBE, out / "train.json", [*two_epochs, "--out", str(out)])
        _write_image(out / "digit.png")
        predict = ["predict", str(out / "cnn"), str(out / "digit.png")]
        names = _probe(root, _PREDICT_PROBE, out / "predict.json", predict)
    return Running(_from_the_command(run["frames"]), run["calls"], names)


def _from_the_command(frames: list[str]) -> list[str]:
    """Frames from the body of the command, outermost first: without typer's and main's."""
    outward = list(reversed(frames))
    begin = next(i for i, frame in enumerate(outward) if frame.endswith(":train"))
    return outward[begin:]


def _probe(root: Path, script: str, report: Path, command: list[str]) -> Any:
    """Run a command of the checkout under a probe; returns what the probe wrote to `report`."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(report), *command],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not report.exists():
        raise SystemExit(f"nnzoo {' '.join(command)} ended with {done.returncode}\n{done.stderr}")
    return json.loads(report.read_text())


def _write_image(path: Path) -> None:
    from PIL import Image

    Image.new("L", (8, 8), 128).save(path)


def rows(static: Static, running: Running | None) -> list[tuple[str, str]]:
    """Name and value of each measure, in the order of the table."""
    longest = (static.longest_file, static.longest_function, static.most_parameters)
    table = [
        ("spine: files, lines", f"{static.spine_files}, {static.spine_lines:,}"),
        (
            "spine with late imports: files, lines",
            f"{static.spine_late_files}, {static.spine_late_lines:,}",
        ),
        ("package: modules, lines", f"{static.modules}, {static.lines:,}"),
        ("longest file", "{} ({})".format(*longest[0])),
        ("longest function", "{} ({})".format(*longest[1])),
        ("most parameters", "{} ({})".format(*longest[2])),
        ("errors about a key without a place", str(len(static.unplaced_errors))),
        ("test lines per code line", f"{static.test_ratio:.2f}"),
        ("modules without a test file of their name", str(len(static.untested_modules))),
        ("`fmt: skip` and `fmt: off`", str(static.fmt_skips)),
        ("lint rules ignored", str(static.ignored_rules)),
    ]
    if running is not None:
        table += [
            ("frames from the command to backward", str(len(running.frames_to_backward))),
            ("calls of own Python per CNN step", str(running.calls_per_step)),
            ("modules that predict of an image loads", str(len(running.predict_modules))),
            ("of them training", str(len(running.predict_training))),
        ]
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tree", type=Path, action="append", help="a checkout; repeatable")
    parser.add_argument("--static", action="store_true", help="parse only, run nothing")
    parser.add_argument("--names", action="store_true", help="list what is counted")
    args = parser.parse_args()
    trees = args.tree or [ROOT]
    measured = [
        (measure_static(tree), None if args.static else measure_running(tree)) for tree in trees
    ]
    columns = [rows(*pair) for pair in measured]
    print("| | " + " | ".join(str(tree) for tree in trees) + " |")
    print("|---" * (len(trees) + 1) + "|")
    for cells in zip(*columns, strict=True):
        print(f"| {cells[0][0]} | " + " | ".join(value for _, value in cells) + " |")
    if args.names:
        for tree, (static, running) in zip(trees, measured, strict=True):
            print(f"\n{tree}")
            print("spine:", *static.spine)
            print("errors without a place:", *static.unplaced_errors)
            print("modules without a test:", *static.untested_modules)
            if running is not None:
                print("frames:", *running.frames_to_backward)
                print("predict:", *running.predict_modules)


if __name__ == "__main__":
    main()
