"""The rules of the house that a machine can hold: imports go one way, torch comes late, no print."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import nnzoo

PACKAGE = Path(nnzoo.__file__).parent
PROJECT = PACKAGE.parent

# A module imports only modules in lines above its own; within a line, nothing.
LAYERS = """
    nnzoo
    nnzoo.text
    nnzoo.errors nnzoo.cache nnzoo.status
    nnzoo.file_io nnzoo.distributed
    nnzoo.process_group nnzoo.config.yaml_parser nnzoo.config.options
    nnzoo.config.split_options nnzoo.config.preprocess_options
    nnzoo.config.model_options nnzoo.config.data_options nnzoo.config.optim_options nnzoo.config.train_options nnzoo.config.sweep_options
    nnzoo.config.eval_options
    nnzoo.config.recording_options nnzoo.config.text_options
    nnzoo.config.registry nnzoo.config.source_map nnzoo.config.formatting
    nnzoo.config.renamed_keys nnzoo.config.json_schema nnzoo.config.nested_options
    nnzoo.config.hints nnzoo.config.option_tables
    nnzoo.config.section_issues
    nnzoo.config.sections
    nnzoo.config.sweep_space
    nnzoo.config.run_config
    nnzoo.config.load nnzoo.config
    nnzoo.config.default_space nnzoo.config.completion
    nnzoo.explain nnzoo.explain.languages nnzoo.evaluation.thresholds
    nnzoo.explain.codes nnzoo.explain.keys nnzoo.explain.describe_type
    nnzoo.explain.subject nnzoo.explain.wrap
    nnzoo.explain.page
    nnzoo.explain.key_page
    nnzoo.explain.walk
    nnzoo.evaluation.observations nnzoo.evaluation.uncertainty_text nnzoo.evaluation.verdicts
    nnzoo.kernels nnzoo.kernels.openmp nnzoo.kernels.torch_operators
    nnzoo.kernels.build
    nnzoo.kernels.call nnzoo.kernels.packing
    nnzoo.kernels.plan nnzoo.kernels.step nnzoo.kernels.rows nnzoo.kernels.adam
    nnzoo.kernels.prepared nnzoo.kernels.ops nnzoo.kernels.embedding nnzoo.kernels.generate
    nnzoo.kernels.tokens
    nnzoo.data.tokenizer
    nnzoo.data nnzoo.data.columns nnzoo.data.table_files nnzoo.data.timestamps nnzoo.data.image_files nnzoo.data.sampling nnzoo.data.sequences nnzoo.data.image_files.float_tiff nnzoo.data.image_files.split_names nnzoo.data.columns.number_text nnzoo.data.columns.labels nnzoo.data.table_files.limits nnzoo.data.timestamps.frequency nnzoo.data.timestamps.index nnzoo.data.timestamps.date_formats nnzoo.data.data_spec nnzoo.data.group_split nnzoo.data.recording_files nnzoo.data.ucr nnzoo.data.text_files nnzoo.data.token_ids
    nnzoo.data.image_files.tree nnzoo.data.image_files.decode nnzoo.data.columns.values
    nnzoo.data.image_files.class_names
    nnzoo.data.row_split nnzoo.data.columns.roles
    nnzoo.data.time_split nnzoo.data.recording_files.recording nnzoo.data.duplicates
    nnzoo.data.corpus_files nnzoo.data.dataset nnzoo.data.image_files.decode_pool nnzoo.data.table_files.csv_rows nnzoo.data.table_files.file_format nnzoo.data.table_files.arrow
    nnzoo.data.statistics nnzoo.data.table_files.csv_layout nnzoo.data.table_files.text_encoding nnzoo.data.table_files.parquet
    nnzoo.data.table_files.csv_reader nnzoo.data.table_files.excel nnzoo.data.table_files.json
    nnzoo.data.timestamps.parse nnzoo.data.columns.checks nnzoo.data.columns.label_sets nnzoo.data.columns.number_format
    nnzoo.data.columns.description nnzoo.data.timestamps.numeric
    nnzoo.data.row_values nnzoo.data.timestamps.time_columns nnzoo.data.columns.inputs nnzoo.data.columns.target nnzoo.data.table_files.table_io
    nnzoo.data.divide nnzoo.data.columns.targets nnzoo.data.timestamps.gaps nnzoo.data.timestamps.axis nnzoo.data.image_files.folder nnzoo.data.image_files.cache
    nnzoo.data.timestamps.describe nnzoo.data.recording_files.columns nnzoo.data.recording_files.ts
    nnzoo.data.recording_files.ragged nnzoo.data.recording_files.arff nnzoo.data.recording_files.wide_table nnzoo.data.recording_files.long_table nnzoo.data.recording_files.folder
    nnzoo.data.text_files.documents
    nnzoo.data.recording_files.forms nnzoo.data.text_files.table nnzoo.data.text_files.folder
    nnzoo.data.text_files.forms nnzoo.data.image_files.labels_file nnzoo.data.image_files.part
    nnzoo.data.labeled_images nnzoo.data.image_files.description
    nnzoo.data.table_files.preview nnzoo.data.augment nnzoo.data.image_folder nnzoo.data.tables nnzoo.data.series nnzoo.data.preprocess nnzoo.data.recordings nnzoo.data.text nnzoo.data.corpus
    nnzoo.data.vision_datasets
    nnzoo.data.memory nnzoo.data.builtin nnzoo.data.mnist1d nnzoo.data.published_texts nnzoo.data.read_dataset
    nnzoo.models nnzoo.evaluation nnzoo.runs
    nnzoo.models.layers nnzoo.models.initialize nnzoo.runs.checkpoint
    nnzoo.models.packed
    nnzoo.models.fused nnzoo.models.recurrent_layers
    nnzoo.models.padded
    nnzoo.models.embedding nnzoo.models.vectors nnzoo.models.table_layers
    nnzoo.models.whiten nnzoo.models.flips
    nnzoo.models.mlp nnzoo.models.cnn nnzoo.models.rnn
    nnzoo.models.conversion nnzoo.models.freeze nnzoo.models.weights_file
    nnzoo.models.stacked
    nnzoo.evaluation.metrics
    nnzoo.evaluation.language_model nnzoo.evaluation.multilabel_metrics
    nnzoo.evaluation.tasks nnzoo.evaluation.tasks.task
    nnzoo.evaluation.tasks.classification nnzoo.evaluation.tasks.multilabel nnzoo.evaluation.tasks.language_model nnzoo.evaluation.tasks.regression
    nnzoo.evaluation.tasks.build nnzoo.evaluation.conformal nnzoo.evaluation.decision nnzoo.evaluation.temperature
    nnzoo.evaluation.baselines nnzoo.evaluation.baselines.budget nnzoo.evaluation.baselines.compare
    nnzoo.evaluation.baselines.baseline nnzoo.evaluation.baselines.ngrams
    nnzoo.evaluation.baselines.linear_model
    nnzoo.evaluation.baselines.channel_statistics nnzoo.evaluation.baselines.tfidf nnzoo.evaluation.baselines.linear
    nnzoo.evaluation.baselines.simple nnzoo.evaluation.baselines.trees nnzoo.evaluation.baselines.prediction_cache
    nnzoo.evaluation.baselines.series
    nnzoo.evaluation.baselines.compute
    nnzoo.evaluation.calibration
    nnzoo.evaluation.uncertainty
    nnzoo.models.start_from nnzoo.models.take_statistics
    nnzoo.models.initial_weights
    nnzoo.device
    nnzoo.data.streaming
    nnzoo.models.network
    nnzoo.models.group_network
    nnzoo.evaluation.evaluate nnzoo.evaluation.layer_stats nnzoo.generate
    nnzoo.training nnzoo.training.clipping nnzoo.training.lr_schedule nnzoo.training.updates nnzoo.training.carried_state
    nnzoo.training.optim
    nnzoo.evaluation.diagnostics nnzoo.training.norm_statistics nnzoo.training.state
    nnzoo.training.device_state
    nnzoo.training.trainer
    nnzoo.training.device_step
    nnzoo.models.planned
    nnzoo.training.step_batches
    nnzoo.training.step_plan
    nnzoo.training.train_step
    nnzoo.training.thread_tuner
    nnzoo.training.lockstep
    nnzoo.training.autotune
    nnzoo.training.compare_devices
    nnzoo.training.fit
    nnzoo.runs.run_dir nnzoo.runs.samples
    nnzoo.runs.history
    nnzoo.runs.recorder
    nnzoo.runs.config_diff nnzoo.runs.run_notes nnzoo.runs.train
    nnzoo.runs.resume
    nnzoo.runs.run nnzoo.runs.run_index
    nnzoo.runs.run_group nnzoo.tensorboard nnzoo.sweep nnzoo.sweep.storage nnzoo.sweep.trial_values
    nnzoo.sweep.study
    nnzoo.sweep.open_study
    nnzoo.sweep.search
    nnzoo.predict nnzoo.predict.predictions
    nnzoo.predict.uncertainty nnzoo.predict.plain_frame nnzoo.predict.plain_csv nnzoo.predict.csv_lines
    nnzoo.predict.images nnzoo.predict.tables nnzoo.predict.recordings nnzoo.predict.texts
    nnzoo.predict.series
    nnzoo.init_config nnzoo.init_config.config_text nnzoo.init_config.target
    nnzoo.init_config.images nnzoo.init_config.series nnzoo.init_config.group
    nnzoo.init_config.corpus nnzoo.init_config.find_recordings nnzoo.init_config.find_texts
    nnzoo.init_config.text nnzoo.init_config.labeled_images nnzoo.init_config.recordings nnzoo.init_config.table
    nnzoo.init_config.memory nnzoo.runs.loaded_group
    nnzoo.predict.inputs nnzoo.init_config.config_file nnzoo.console nnzoo.export_lengths nnzoo.runs.loaded_run
    nnzoo.export_text
    nnzoo.export_interface
    nnzoo.export
    nnzoo.console.progress nnzoo.console.tables nnzoo.console.trials
    nnzoo.inspect nnzoo.inspect.draw nnzoo.inspect.internals nnzoo.inspect.tokens
    nnzoo.inspect.draw_text nnzoo.inspect.units
    nnzoo.inspect.texts
    nnzoo.inspect.inspection
    nnzoo.web nnzoo.web.render
    nnzoo.web.program
    nnzoo.report nnzoo.report.hover nnzoo.report.run_report
    nnzoo.report.charts
    nnzoo.report.uncertainty
    nnzoo.report.forecasts nnzoo.report.notebook nnzoo.report.texts nnzoo.report.thresholds
    nnzoo.report.examples nnzoo.report.network_data
    nnzoo.report.interactive
    nnzoo.report.page
    nnzoo.sweep.report
    nnzoo.explain.code_page
    nnzoo.explain.layer_summary nnzoo.explain.published_shapes nnzoo.explain.first_batch nnzoo.explain.describe_data nnzoo.explain.describe_training
    nnzoo.explain.describe_layers
    nnzoo.explain.walk_config nnzoo.explain.describe_result
    nnzoo.explain.walk_run
    nnzoo.watch nnzoo.watch.run_list nnzoo.watch.run_state nnzoo.watch.server nnzoo.watch.frame_parts
    nnzoo.watch.frames
    nnzoo.watch.viewer
    nnzoo.watch.serve
    nnzoo.interrupts
    nnzoo.api nnzoo.cli.messages nnzoo.cli.usage nnzoo.cli.completion
    nnzoo.network_estimator
    nnzoo.estimators
    nnzoo.cli.common nnzoo.cli.process
    nnzoo.cli.train_display nnzoo.cli.viewer_process
    nnzoo.cli.train nnzoo.cli.evaluate nnzoo.cli.predict nnzoo.cli.cache nnzoo.cli.info nnzoo.cli.check nnzoo.cli.explain nnzoo.cli.export nnzoo.cli.generate nnzoo.cli.init nnzoo.cli.inspect nnzoo.cli.report nnzoo.cli.runs nnzoo.cli.watch
    nnzoo.cli.sweep
    nnzoo.cli
    nnzoo.__main__
"""
LAYER = {
    name: depth for depth, line in enumerate(LAYERS.strip().splitlines()) for name in line.split()
}
HEAVY = {
    "torch",
    "torchvision",
    "pandas",
    "sklearn",
    "matplotlib",
    "openpyxl",
    "scipy",
    "PIL",
    "pyarrow",
    "jinja2",
    "onnx",
    "tensorboard",
    "optuna",
    "sqlalchemy",
}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
        ".__init__"
    )


MODULES = {module_name(path): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}


def imports(tree: ast.Module) -> set[str]:
    """The modules of nnzoo that a module imports, wherever in it; not those for type checks alone."""
    skipped = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for statement in branch.body
        for node in ast.walk(statement)
    }
    actual: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            actual |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            base = node.module or ""
            inner = {f"{base}.{alias.name}" for alias in node.names}
            modules = {name for name in inner if name in MODULES}
            actual |= modules or {base}
            if modules and modules != inner:
                actual.add(base)
    return {name for name in actual if name.partition(".")[0] == "nnzoo"}


def test_every_module_has_its_place_in_the_list() -> None:
    assert set(MODULES) == set(LAYER)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_only_modules_above_it(name: str) -> None:
    below = {other for other in imports(MODULES[name]) if LAYER[other] >= LAYER[name]}
    if name == "nnzoo.config":
        # The front of its own folder.
        below -= {other for other in below if other.startswith("nnzoo.config.")}
    assert below == set()


def test_the_language_is_read_without_what_computes() -> None:
    for name in (
        "nnzoo.errors",
        *(module for module in MODULES if module.startswith("nnzoo.config")),
    ):
        for node in ast.walk(MODULES[name]):
            if isinstance(node, ast.Import):
                roots = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                roots = {(node.module or "").partition(".")[0]}
            else:
                continue
            assert not roots & HEAVY, name


OPENS_A_RUN = [
    "predict.inputs",
    "evaluation.evaluate",
    "inspect.inspection",
    "report.page",
    "watch.serve",
    "export",
]


@pytest.mark.parametrize("name", ["runs.loaded_run", *OPENS_A_RUN])
def test_what_opens_a_run_imports_nothing_of_training(name: str) -> None:
    """The closure of all imports, those in functions too."""
    closure, new = set[str](), {f"nnzoo.{name}"}
    while new:
        closure |= new
        new = {other for module in new for other in imports(MODULES[module])} - closure
    assert [module for module in sorted(closure) if module.startswith("nnzoo.training")] == []


OUTSIDE = [
    path
    for folder in (".ci", ".github", "scripts", "benchmarks", "examples", "docs", "README.md")
    for path in sorted(
        [PROJECT / folder] if (PROJECT / folder).is_file() else (PROJECT / folder).rglob("*")
    )
    if path.suffix in {"", ".py", ".sh", ".yml", ".md"} and path.is_file()
]


def test_names_of_the_package_that_other_files_import_exist() -> None:
    """Scripts, workflows and code in the docs are not type-checked: a rename must reach them."""
    imported = [
        (path, module, name)
        for path in OUTSIDE
        for module, names in re.findall(
            r"from (nnzoo[\w.]*) import (\([^)]*\)|[\w, ]+)", path.read_text(errors="replace")
        )
        for name in re.findall(r"(?:^|[(,])\s*(\w+)", names)
    ]
    assert len(imported) > 50
    assert [
        f"{path.relative_to(PROJECT)}: from {module} import {name}"
        for path, module, name in imported
        if f"{module}.{name}" not in MODULES
        and (module not in MODULES or not hasattr(importlib.import_module(module), name))
    ] == []


def test_nothing_in_the_package_prints() -> None:
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{name}:{node.lineno}"


def test_only_the_terminal_writes_to_stdout_and_only_the_commands_know_typer() -> None:
    for name, tree in MODULES.items():
        text = ast.unparse(tree)
        if not name.startswith("nnzoo.cli") and not name.startswith("nnzoo.console"):
            assert "sys.stdout" not in text, name
            assert "sys.stderr.write" not in text, name
            assert "import rich" not in text and "from rich" not in text, name
        if not name.startswith("nnzoo.cli"):
            assert "typer" not in text, name


def test_a_path_in_a_command_that_is_shown_is_quoted() -> None:
    command = re.compile(
        r"\bnnzoo (train|eval|predict|inspect|report|export|sweep|init)( [^\n'\"]*)?$"
    )
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.JoinedStr):
                continue
            for before, value in pairwise(node.values):
                text = str(before.value) if isinstance(before, ast.Constant) else ""
                if isinstance(value, ast.FormattedValue) and command.search(text.rstrip() or " "):
                    assert "shell_word(" in ast.unparse(value), f"{name}:{node.lineno}"


LIGHT = [
    ["--help"],
    ["--version"],
    ["train", "--help"],
    ["predict", "--help"],
    ["sweep", "--help"],
    ["models"],
    ["models", "--json"],
    ["datasets"],
    ["training"],
    ["configs"],
    ["schema"],
    ["check", "cnn.yaml"],
    ["explain"],
    ["explain", "W03", "--lang", "zh"],
    ["explain", "optim.schedule"],
    ["explain", "lr", "--json"],
    ["init", "cnn", "mine.yaml"],
]


def test_commands_that_compute_nothing_load_nothing_heavy() -> None:
    """One process for all: what one of them loads stays loaded and is seen."""
    script = (
        "import sys, io\n"
        "from nnzoo.cli import app\n"
        f"for words in {LIGHT!r}:\n"
        "    out, sys.stdout = sys.stdout, io.StringIO()\n"
        "    try:\n"
        "        app(words)\n"
        "    except SystemExit as stop:\n"
        "        assert not stop.code, (words, stop.code)\n"
        "    assert sys.stdout.getvalue(), words\n"
        "    sys.stdout = out\n"
        f"    loaded = {sorted(HEAVY)!r}\n"
        "    loaded = [name for name in loaded if name in sys.modules]\n"
        "    assert not loaded, (words, loaded)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_invalid_config_is_reported_without_loading_torch() -> None:
    Path("bad.yaml").write_text("data: digits\nmodel: {name: cnn, chanels: 3}\n")
    script = (
        "import sys\n"
        "from nnzoo.cli import app\n"
        "try:\n"
        "    app(['train', '--config', 'bad.yaml'])\n"
        "except SystemExit as stop:\n"
        "    sys.exit(0 if stop.code == 2 and 'torch' not in sys.modules else 1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "did you mean 'channels'?" in done.stderr
