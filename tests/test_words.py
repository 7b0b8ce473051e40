"""The field's words in names, comments, docstrings, messages and docs.

    python tests/test_words.py nnzoo/config     # what is left in a folder or file

Each rule is a pattern, and the word that a PyTorch reader expects instead.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Names of variables, parameters, attributes, functions and classes, compared as a whole; by the
# folders that they are searched in.
NAMES = {
    "": {
        "own found told said given wanted at way each": "a name for the thing",
        "shelf shelves list_shelf": "registry",
        "plainly": "friendly_messages, eval_in_fp32",
        "judge judged lose loses": "compute_loss, loss_and_grad, Task",
        "natively": "native",
        "by_hand hand_runs": "manual, use_python_kernels",
        "obstacle why_not": "unsupported_reason",
        "looked look look_at": "collect_layer_stats, LayerStats",
        "going_on go_on gone_on": "resume",
        "beside": "share_with",
        "alone": "single process",
        "leads lead": "is_main_process, main_rank",
        "told_error": "PeerFailedError",
        "lost_error": "PeerLostError",
        "run_facts": "RunReport",
        "set_aside": "archive",
        "begun begun_by": "was_started_by, is_new",
        "in_turn": "sequential_reason",
        "sure surest": "confidence",
    },
    "nnzoo/config": {
        "misfits": "invalid_reasons",
        "what_holds": "valid_subset",
        "company companies": "parent_choices",
        "elsewhere": "from_other_union_branch",
        "real_path": "strip_union_tags",
        "brief": "preview",
        "last_of": "range_end",
        "words_for": "describe_type",
        "cadence": "SaveInterval",
        "border": "PixelCount",
        "at_most": "sanity_limit",
    },
    "nnzoo/data": {
        "piece": "chunk",
        "stretches": "sliding_windows, spans",
        "row_splits": "make_splits",
        "epoch_order": "epoch_permutation",
        "sharing current_share": "batch_shard, current_shard",
        "portion": "resolve_count",
        "draws": "RowGenerators",
        "room": "translation",
        "worth_a_process": "images_per_process",
        "natural": "natural_key",
        "mostly": "numeric_fraction",
        "past": "history",
        "goals": "targets",
        "twice": "first_duplicate",
        "late": "first_unsorted",
    },
    "nnzoo/kernels nnzoo/models": {
        "behind": "epilogue",
        "few": "max_direct_channels",
        "right": "num_correct",
        "keep_mask draw_mask": "dropout_mask, fill_dropout_mask",
        "hand": "NativeRNNMixin",
        "minus_one": "a constant",
        "share_layers": "convert_sync_layers",
        "become": "mix_in_class",
        "exchange": "Communicator",
        "draws": "uses_randomness",
        "wide": "members_to_channels",
        "learn_orders": "record_dropout_layouts",
        "its twin": "copy",
        "open_forget_gates": "init_forget_bias",
        "gain_of": "activation_gain",
        "assemble": "build_network",
        "sibling": "reseeded",
        "anchored": "num_anchor_features",
        "check_leaves": "check_state_dict",
        "rate": "p, lr",
    },
    "nnzoo/evaluation": {
        "sums training_sums": "MetricState, RunningLoss",
        "right": "correct",
        "centre": "offset",
        "outcome": "LossResult",
        "interpret": "postprocess",
        "hits": "num_correct",
        "middle": "mean",
        "piece": "chunk",
    },
    "nnzoo/training nnzoo/runs nnzoo/device.py nnzoo/distributed.py nnzoo/process_group.py nnzoo/file_io.py": {
        "settled": "gc_frozen",
        "stale": "epochs_without_improvement",
        "flat_epochs": "plateau_epochs",
        "alike": "same_structure",
        "together": "TrainerStack, error_barrier",
        "lend": "scatter_gradients",
        "even": "in_lockstep",
        "gone": "stopped",
        "happened": "events",
        "race timed": "benchmark",
        "hopeless": "drop_ratio",
        "remember remembered": "write_cache, read_cache",
        "threads_together": "stack_threads",
        "norm_scale": "clip_divisor",
        "rate rate_at rate_factor": "lr, lr_at, lr_factor",
        "cut_metrics": "truncate_metrics",
        "save_clock": "SaveSchedule",
        "seal": "append_checksum",
        "foreign": "UnexpectedContent",
        "keep_freed_memory": "disable_malloc_trim",
        "give_back_code": "drop_torch_code_pages",
        "tell": "broadcast_object",
        "add_up": "all_reduce",
        "stops": "all_agree_to_stop",
        "one_after_the_other": "local_main_first",
        "meet": "agree_on_group_name",
        "take_over": "inherit_auto_values",
        "conclude": "finish",
        "may_change": "RESUMABLE_KEYS",
        "take_up": "load_for_resume",
        "at_once": "train_together",
        "loud": "strict",
        "sums": "RunningLoss",
        "outcome": "LossResult",
        "lost": "loss_growth",
    },
    "nnzoo/predict nnzoo/inspect nnzoo/report nnzoo/export.py": {
        "places": "index",
        "classifies": "is_classification",
        "unseen": "UnseenCategories",
        "unlike": "max_abs_difference",
        "tidy": "strip_metadata",
        "bend": "activation",
        "past pasts pasts_of own_past": "history",
        "telling_rows": "representative_rows",
        "ends_of_blocks": "block_outputs",
        "input_gradient": "saliency",
        "farthest": "largest_errors",
        "remarks": "observations",
        "spark": "sparkline",
    },
    "nnzoo/sweep nnzoo/console nnzoo/cli nnzoo/init_config nnzoo/cache.py": {
        "hopeless": "should_prune",
        "settled": "register_or_read",
        "place places": "site",
        "give_up": "requeue_host",
        "lost": "requeue_host",
        "over": "finished",
        "quiet": "silence_optuna",
        "progressing searching": "ProgressBar, TrialTable",
        "curve": "sparkline",
        "missed": "DROP_ORDER",
        "shown": "GroupDisplay, storage_url",
        "guarded": "handle_errors",
        "one_of": "Literal",
        "config_of": "load_config_option",
        "stopping": "graceful_shutdown",
        "leave": "fast_exit",
        "processor": "cpu_id",
    },
}
# Names that terms.md recommends, though a rule below would catch a word of them.
RECOMMENDED = {"share_with"}
# Words in such a name, wherever in it ("image_tree", "ImageTree").
PARTS = {
    "picture pictures": "image, figure",
    "spread spreads": "std, range, broadcast",
    "share shares": "fraction, shard",
    "facts": "spec, summary_rows",
    "fault faults": "issue",
    "trivial": "baseline",
    "answer answers": "prediction",
    "shelf shelves": "registry",
    "told": "reported",
    "judge": "task, loss",
}
# Names in C.
C_NAMES = {
    "REAL": "scalar_t",
    "VL": "LANES",
    "low": "bf16",
    "lay_out": "plan_workspace",
    "turn": "transpose",
    "side_by_side pair_rows": "interleave_bf16",
    "store_some": "store_partial",
    "choose": "blend",
    "hyperbolic": "tanh_vec",
    "slope": "activation_grad",
    "meet wait_for_all": "barrier",
    "own own_share": "thread_range",
    "follow unfollow": "epilogue_forward, epilogue_backward",
    "stretch span": "time_chunk",
    "given": "params",
    "pictures": "images",
    "whole": "round_up",
}
PLURALS = (
    "rows|samples|lines|numbers|values|calls|steps|images|bytes|microseconds|milliseconds|seconds|"
    "times|products|messages|passes|files|tables|objects|tiles|folders"
)
UNITS = "second|minute|row|sample|step|epoch|unit|file|column|class|layer|batch|window|trial|thread"
# Phrases in comments, docstrings, messages, templates and docs.
PHRASES = {
    r"neighbour\w*|colour\w*|behaviour\w*|grey(scale)?|(normal|initial|recogn)is(e|ed|es|ing)": "American spelling",
    r"trivial (answer|guess|forecast)s?": "baseline",
    r"(go|goes|going|gone) on (with|from|where|exactly)|(is|are|be) gone on": "resume",
    r"set aside": "moved to, held out",
    r"(is|are|was|were|be|been|it|and|nothing|which) told|told (so|what|that|by|to)": (
        "reports, prints"
    ),
    r"tells(?! (\w+ )?apart)|telling": "reports, prints",
    r"(is|are|was|be|been|nothing|as) said|it says|says (so|which|what|how|why|that)": (
        "prints, reports"
    ),
    r"the way back|on the way (back|forward|there)": "backward, forward pass",
    r"(kernels?|loops?|written|done|layers?|gradients?) by hand": "manual, hand-written",
    r"as one computation": "in one batch",
    r"one after the other|in turn": "sequentially",
    rf"({PLURALS}) an? ({UNITS})\b(?! of)": "per",
    rf"an? ({PLURALS[:-1].replace('s|', '|')}) an? ({UNITS})\b(?! of)": "per",
    r"the surest|how sure|surely|is sure|are sure": "confidence, confident",
    r"what moves the answer": "saliency",
    r"flat end": "saturated",
    r"tab or bar": "tab or pipe",
    r"to be had": "available",
    r"lies (in|at|on|beside|there|below|behind|between)|(that|which|what|where) (lies?|stands?)": (
        "is, is in"
    ),
    r"stands? (in|at|on|beside|there|below|behind|before|above|alone)": "is, is in",
    r"faults? of nnzoo": "internal error",
    r"(?<!segmentation )(?<!page )faults?": "error, issue",
    r"pictures?": "image, figure",
    r"the shelf|a shelf|shelves": "registry",
    r"spread of|the spread|its spread|a spread": "std, range",
    r"the share of|a share of|shares? of": "fraction, shard",
    r"by the machine": "depends on the machine",
}
# Starts of a sentence in a docstring, comment or page; a question is none.
STARTS = re.compile(
    r"(?:\A|\n[ \t]*\n[ \t]*|[.;:!?]\s+)(What|Of|Where|By what)\b(?![^.?!]*\?)[^.]*"
)

SEARCHED = (
    *("README.md", "CONTRIBUTING.md", "SECURITY.md"),
    *("benchmarks", "docs", "examples", "nnzoo", "scripts", "tests"),
)
# Files not searched.
SKIPPED = {
    "tests/test_words.py": "holds the rules",
    "CHANGELOG.md": "tells what was, in the words of that day",
    "docs/reference.md": "made from the options' texts by scripts/reference.py",
}
# (file, pattern): why it may stay.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("nnzoo/evaluation/tasks/regression.py", "centre"): "a buffer: the key of checkpoints",
    ("nnzoo/errors.py", "at"): "DataError.at(key, message): the constructor that plugins call",
    ("nnzoo/cli/sweep.py", "lost"): "the option --lost",
    ("nnzoo/sweep/open_study.py", "lost"): "the option --lost",
    ("nnzoo/data/image_files/split_names.py", "pictures?"): "names of folders that people use",
    ("nnzoo/data/preprocess.py", "spread"): "a key of checkpoints",
    ("nnzoo/config/hints.py", "normalise"): "what users type",
    (
        "examples/make_data.py",
        "neighbour",
    ): "a text of a user, whose bytes docs/text.md has figures of",
}


@dataclass(frozen=True, order=True)
class Offence:
    path: str
    line: int
    words: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.words} -> {self.instead}"


def _by_word(rules: dict[str, str]) -> dict[str, str]:
    return {word: instead for words, instead in rules.items() for word in words.split()}


_PARTS, _C_NAMES = _by_word(PARTS), _by_word(C_NAMES)
_NAMES = {
    folder: _by_word(rules)
    for folders, rules in NAMES.items()
    for folder in (folders.split() or [""])
}
_PHRASES = re.compile(
    "|".join(f"(?P<p{i}>(?<![\\w-])(?:{phrase})(?!\\w))" for i, phrase in enumerate(PHRASES)),
    re.IGNORECASE,
)
_INSTEAD = list(PHRASES.values())


def snake_words(name: str) -> list[str]:
    """The lower-case words of a name in snake_case, CamelCase or CONSTANT_CASE."""
    if name.isupper():
        name = name.lower()
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_").split("_")


def check_name(name: str, path: str) -> Iterator[tuple[str, str]]:
    words = snake_words(name)
    rules = [rules for folder, rules in _NAMES.items() if path.startswith(folder)]
    instead = [table["_".join(words)] for table in rules if "_".join(words) in table]
    if instead:
        yield name, "; ".join(instead)
    elif "_".join(words) not in RECOMMENDED:
        yield from ((name, _PARTS[word]) for word in words if word in _PARTS)


def check_text(text: str) -> Iterator[tuple[int, str, str]]:
    """Phrases of a text: the line in it from 0, the phrase, and the field's word."""
    for match in _PHRASES.finditer(text):
        number = next(i for i in range(len(_INSTEAD)) if match[f"p{i}"] is not None)
        yield text.count("\n", 0, match.start()), match[0], _INSTEAD[number]


def check_starts(text: str) -> Iterator[tuple[int, str, str]]:
    for match in STARTS.finditer(text):
        words = " ".join(text[match.start(1) : match.end()].split())[:40]
        yield text.count("\n", 0, match.start(1)), words, "begin with a verb or a noun"


def _defined_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Blocks of comments: the line of each, and its text without the signs."""
    block: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        text = token.string.lstrip("# ")
        if block and token.start[0] == last + 1 and token.line.strip().startswith("#"):
            block.append(text)
        else:
            if block:
                yield first, "\n".join(block)
            block, first = [text], token.start[0]
        last = token.start[0]
    if block:
        yield first, "\n".join(block)


def _docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value


def _python(source: str, path: str = "") -> Iterator[tuple[int, str, str]]:
    tree = ast.parse(source)
    for line, name in _defined_names(tree):
        yield from ((line, *offence) for offence in check_name(name, path))
    docstrings = list(_docstrings(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield from (
                (node.lineno + i, words, instead) for i, words, instead in check_text(node.value)
            )
    for node in docstrings:
        yield from (
            (node.lineno + i, words, instead) for i, words, instead in check_starts(str(node.value))
        )
    for line, text in _comments(source):
        for check in (check_text, check_starts):
            yield from ((line + i, words, instead) for i, words, instead in check(text))


def _c(source: str, path: str = "") -> Iterator[tuple[int, str, str]]:
    comments = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
    for match in comments.finditer(source):
        first = source.count("\n", 0, match.start()) + 1
        text = match[0].strip("/* ")
        for check in (check_text, check_starts):
            yield from ((first + i, words, instead) for i, words, instead in check(text))
    code = comments.sub(lambda match: "\n" * match[0].count("\n"), source)
    for match in re.finditer(r"[A-Za-z_]\w*", code):
        if match[0] in _C_NAMES:
            yield code.count("\n", 0, match.start()) + 1, match[0], _C_NAMES[match[0]]


def _prose(source: str, path: str = "") -> Iterator[tuple[int, str, str]]:
    """Markdown or a template, without blocks of code (which tests run or which show output)."""
    text = re.sub(r"```.*?```", lambda m: "\n" * m[0].count("\n"), source, flags=re.DOTALL)
    text = re.sub(r"(?m)^    .*$", "", text)
    for check in (check_text, check_starts):
        yield from ((line + 1, words, instead) for line, words, instead in check(text))


READERS = {".py": _python, ".c": _c, ".h": _c, ".md": _prose, ".html": _prose}


def searched_files(below: Path = ROOT) -> list[Path]:
    roots = [ROOT / name for name in SEARCHED if (ROOT / name).exists()]
    files = [
        path
        for root in roots
        for path in ([root] if root.is_file() else sorted(root.rglob("*")))
        if path.suffix in READERS and path.relative_to(ROOT).as_posix() not in SKIPPED
    ]
    below = below.resolve()
    return [path for path in files if path == below or below in path.parents]


def offences(path: Path) -> list[Offence]:
    name = path.relative_to(ROOT).as_posix()
    allowed = [pattern for file, pattern in EXCEPTIONS if file == name]
    everything = {Offence(name, *rest) for rest in READERS[path.suffix](path.read_text(), name)}
    return sorted(
        offence
        for offence in everything
        if not any(re.fullmatch(pattern, offence.words, re.IGNORECASE) for pattern in allowed)
    )


@pytest.mark.parametrize("folder", sorted({p.relative_to(ROOT).parts[0] for p in searched_files()}))
def test_names_and_texts_use_the_words_of_the_field(folder: str) -> None:
    left = [str(offence) for path in searched_files(ROOT / folder) for offence in offences(path)]
    assert not left, "\n".join(left)


def test_every_exception_is_needed() -> None:
    for name, pattern in EXCEPTIONS:
        offending = READERS[Path(name).suffix]((ROOT / name).read_text(), name)
        assert any(re.fullmatch(pattern, words, re.I) for _, words, _ in offending), (name, pattern)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("found = 1", ["found"]),
        ("def at(given): self.told = 1", ["at", "given", "told"]),
        ("class PictureTree: pass", ["PictureTree"]),
        ("x = 'goes on from step 3'", ["goes on from"]),
        ("x = 'told'", []),
        ('"""What a run does.\n\nOf all rows."""', ["Of all rows", "What a run does"]),
        ("# Where it lies in\n# memory", ["Where it lies in memory", "lies in"]),
        ("# How many rows a second", ["rows a second"]),
        ("# Why? What for?", []),
        ("shared = images", []),
    ],
)
def test_the_rules_on_python(source: str, words: list[str]) -> None:
    assert sorted(words) == sorted(offence[1] for offence in _python(source))


def main() -> None:
    counts: Counter[str] = Counter()
    for argument in sys.argv[1:] or ["."]:
        for path in searched_files(Path(argument)):
            for offence in offences(path):
                sys.stdout.write(f"{offence}\n")
                counts[offence.words.lower()] += 1
    common = ", ".join(f"{words} {number}" for words, number in counts.most_common(12))
    sys.stderr.write(f"{counts.total()} to mend; most often: {common or 'none'}\n")


if __name__ == "__main__":
    main()
