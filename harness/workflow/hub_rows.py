"""
Training rows from a data set on the Hugging Face hub: ``--train hf:org/name[@revision][:split]``.

They are read by `datasets`, which downloads a data set once and afterwards finds it in its cache.
Rows are conversations (``messages`` and perhaps ``tools``, docs/finetune.md), or the rows of
Google's guide: ``user_content``, ``tool_name``, ``tool_arguments``.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.errors import SuiteError, UsageError, boundary
from harness.finetuning.rows import KEYS, Row, rows_of
from harness.finetuning.sft_trainer import quiet
from harness.importers.tool_rows import COLUMNS, messages_of
from harness.wording import named

HUB = "hf:"

_REFERENCE = re.compile(
    r"hf:(?P<name>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?(:(?P<split>\w+))?"
)


def read_hub_rows(
    reference: str, *, notify: Callable[[str], None] = lambda _: None, **given: Any
) -> tuple[Row, ...]:
    """
    Return the rows of a data set on the hub, by default of its split ``train``; *given* is what
    `harness.finetuning.rows.read_rows` takes for rows without tools or system text.

    Columns that mean nothing here are left out, and *notify* is told so.

    Raises:
        UsageError: if *reference* names no data set, or there is none that can be read here.
        SuiteError: if a row is wrong, or the columns are others.
    """
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise UsageError(f"{reference!r} names no data set: write hf:org/name[@revision][:split]")
    split = found["split"] or "train"
    loaded = _load(found["name"], found["revision"], split)
    columns: Sequence[str] = loaded.column_names
    if "messages" in columns:
        known, made = KEYS, _chat_row
    elif COLUMNS[0] in columns:
        known, made = frozenset({"id", *COLUMNS}), _tool_row
    else:
        raise SuiteError(
            f"{reference}: its columns are {named(columns)}; rows have messages (and tools), or "
            f"{', '.join(COLUMNS)}"
        )
    if others := [name for name in columns if name not in known]:
        notify(f"{reference}: columns that are not read: {named(others)}")
    where = f"{HUB}{found['name']}:{split}"
    values = []
    for number, row in enumerate(loaded, start=1):
        chosen = {name: value for name, value in row.items() if name in known}
        try:
            values.append((made(chosen), where, number))
        except ValueError as exc:
            raise SuiteError(f"{where}:{number}: {exc}") from exc
    return rows_of(values, **given)


def _load(name: str, revision: str | None, split: str) -> Any:
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    of = f"{HUB}{name}"
    try:
        with quiet(), boundary(UsageError, f"{of}: the data set cannot be read"):
            return datasets.load_dataset(name, revision=revision, split=split)
    except UsageError as exc:
        if isinstance(exc.__cause__, DatasetNotFoundError):
            raise UsageError(
                f"{of}: no such data set on the hub that you may read; for a gated one accept its "
                "terms there, then log in with `hf auth login`"
            ) from exc
        if isinstance(exc.__cause__, ConnectionError):
            raise UsageError(
                f"{of}: the hub cannot be reached and the cache of this machine does not have the "
                "data set; run once with a network, or give a file"
            ) from exc
        raise


def _chat_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return a row as a file would hold it. A column has a null for every key that another row has,
    so nulls are keys that are not there.
    """
    made = {name: _without_nulls(value) for name, value in row.items() if value is not None}
    if isinstance(tools := made.get("tools"), str):
        made["tools"] = json.loads(tools)
    return made


def _tool_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"messages": messages_of(row)}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value
