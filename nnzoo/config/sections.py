"""Validation of the sections of a configuration: plain values to options, or all issues.

The issues are described by section_issues.py, which a valid configuration does not need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nnzoo.config.optim_options import DEFAULT_OPTIMIZER
from nnzoo.config.options import is_name, is_seed
from nnzoo.config.registry import REGISTRIES, RUN_SECTIONS, is_known, options_class
from nnzoo.config.renamed_keys import rename_former_keys

if TYPE_CHECKING:
    from nnzoo.config.section_issues import Issue


def validate_sections(
    tree: Mapping[str, Any], default_name: str | None = None
) -> tuple[dict[str, Any], list[Issue]]:
    """Name, seed and the options of each section of a run, None with issues; and all issues.

    tree: plain values of a whole file, without former names.
    """
    name, seed = tree.get("name", default_name), tree.get("seed", 0)
    issues: list[Issue] = []
    misnamed: dict[str, str] = {}
    if not (is_name(name) and is_seed(seed) and is_known(*tree)):
        from nnzoo.config.section_issues import file_issues

        issues, misnamed = file_issues(tree, name, seed)
    values = {"name": name, "seed": seed}
    for section in RUN_SECTIONS:
        key = misnamed.get(section, section)  # its options are validated at once, too
        renamed = tree if key == section else {**tree, section: tree[key]}
        values[section], more = validate_section(renamed, section)
        issues += [issue._replace(path=(key, *issue.path[1:])) for issue in more]
    return values, issues


def validate_section(tree: Mapping[str, Any], section: str) -> tuple[Any, list[Issue]]:
    """The options of `data`, `model`, `optim`, `train` or `sweep`, or None and the issues.

    tree: plain values of the whole file; former names in the section are replaced in place.
    """
    rename_former_keys(tree, section)
    raw = tree.get(section)
    if section in REGISTRIES:
        raw = _with_name(raw, section)
        name = raw.get("name") if isinstance(raw, dict) else None
        if not isinstance(name, str) or REGISTRIES[section].get(name) is None:
            from nnzoo.config.section_issues import name_issue

            return None, [name_issue(raw, section)]
    return _validate({} if raw is None else raw, section, tree)


def _with_name(raw: Any, section: str) -> Any:
    """A section as a mapping with its `name` first, where a text alone or a default is its name."""
    if isinstance(raw, str):
        return {"name": raw}
    if section == "optim" and (raw is None or isinstance(raw, dict)):
        return {"name": DEFAULT_OPTIMIZER} | (raw or {})
    return {"name": raw["name"], **raw} if isinstance(raw, dict) and "name" in raw else raw


def _validate(raw: Any, section: str, tree: Mapping[str, Any]) -> tuple[Any, list[Issue]]:
    from pydantic import ValidationError

    options = options_class(tree, section)
    assert options is not None
    try:
        if isinstance(raw, dict):
            return options.model_validate(raw), []
        errors = []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    from nnzoo.config.section_issues import ErrorTranslator, Issue, preview

    if not isinstance(raw, dict):
        keys = ", ".join([*options.model_fields][:4])
        return None, [Issue((section,), f"expected a section ({keys}, …), got {preview(raw)}")]
    return None, list(ErrorTranslator(options, raw, section, tree).issues(errors))
