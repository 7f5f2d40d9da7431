"""
What two runs answered otherwise, and how near each checkpoint was to the other answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from harness.backends.base import WithLogits
from harness.checkpoints.reference import is_served
from harness.comparison.divergence import Divergence, Divergences, Logits, divergences
from harness.errors import HarnessError, UsageError
from harness.gating.decision import Compared
from harness.runs.runner import request
from harness.runs.store import StoredRun
from harness.scoring.arms import REAL
from harness.scoring.tool_names import shown_case
from harness.transcript import Transcript
from harness.workflow.compare import scored_in_both
from harness.workflow.options import Progress
from harness.workflow.reopen import options_of, reopened


def diverging(compared: Compared, *, always: bool = False) -> Divergences | None:
    """
    Return where the answers of two runs differ.

    None unless *always*, if the runs are of other weights on the same engine: then most answers
    may differ, and what matters is which of them broke.
    """
    old, new = compared.old.record, compared.new.record
    weights = [(each.checkpoint.weights, each.checkpoint.adapter) for each in (old, new)]
    engines = [(each.backend.name, each.backend.dtype, each.backend.device) for each in (old, new)]
    same_weights = weights[0] == weights[1] and weights[0][0] is not None
    if not always and not same_weights and engines[0] == engines[1]:
        return None
    if old.digests and new.digests and old.digests.transcripts == new.digests.transcripts:
        return Divergences(answers=len(old.columns.first) - 1, differing=0, first=())
    was, now = compared.old.answers(), compared.new.answers()
    order = {key: place for place, key in enumerate(new.columns.keys)}
    both = scored_in_both(old, new)
    keys = [key for key in now if key in was and (key.case, key.repeat) in both]
    keys.sort(key=lambda key: (order[key.case, key.repeat], key.turn, key.step))
    return divergences(was, now, keys)


def with_logits(
    found: Divergences,
    compared: Compared,
    progress: Progress | None = None,
    *,
    sides: Sequence[Literal["by_old", "by_new"]] = ("by_old", "by_new"),
) -> Divergences:
    """
    Return *found* with the token at which each answer parts and how the checkpoints of *sides*
    weigh the two tokens there, as far as they can be opened here as they were; why not, where not.
    """
    for name, run in (("by_old", compared.old), ("by_new", compared.new)):
        if name not in sides or not found.first:
            continue
        try:
            weighed = _weighed(found.first, name, run, compared, progress or Progress())
        except HarnessError as exc:
            reason = f"{run.record.checkpoint.reference}: {exc}"
            found = replace(found, unknown=(*found.unknown, reason))
        else:
            found = replace(found, first=weighed)
    return found


def _weighed(
    first: Sequence[Divergence], name: str, run: StoredRun, compared: Compared, progress: Progress
) -> tuple[Divergence, ...]:
    """
    Raises:
        HarnessError: if the checkpoint cannot say.
    """
    record = run.record
    if is_served(record.checkpoint.reference):
        raise UsageError("a server does not tell logits")
    if record.backend.arm not in (None, REAL):
        raise UsageError(f"its cases were asked in the arm {record.backend.arm}")
    if record.generation.do_sample:
        raise UsageError("its answers were sampled")
    suite = run.suite()
    cases = {case.id: case for case in suite.cases}
    was, now = compared.old.answers(), compared.new.answers()
    found = []
    with reopened(record, suite, options_of(record), progress) as backend:
        if not isinstance(backend, WithLogits):
            raise UsageError(f"the backend {record.backend.name} does not tell logits")
        for each in first:
            one, ids = _in_tokens(each, backend.tokenizer, was[each.key], now[each.key])
            # What a later step was asked holds what came back before it.
            if ids is not None and each.key.step == 0:
                case = cases[each.key.case]
                if record.backend.tool_names is not None:
                    case = shown_case(case, record.backend.tool_names)
                asked = request(suite, case, each.key)
                begun, ours, theirs = ids
                old, new = backend.logits(asked, begun, [ours, theirs])
                logits: Mapping[str, Any] = {name: Logits(old=old, new=new)}
                one = replace(one, **logits)
            found.append(one)
    return tuple(found)


def _in_tokens(
    found: Divergence, tokenizer: Any, old: Transcript, new: Transcript
) -> tuple[Divergence, tuple[list[int], int, int] | None]:
    """
    Return the divergence in tokens, and the ids of what both answers begin with and of the two
    tokens; None for these if one answer ends there at the token limit.
    """
    ours, theirs = _ids(tokenizer, old), _ids(tokenizer, new)
    common = _common(ours, theirs)
    # A tokenizer may write two texts alike, such as with white space in another form.
    if common == len(ours) == len(theirs):
        return found, None
    begun = ours[:common]
    said = [_text(tokenizer, ids[common : common + 1]) for ids in (ours, theirs)]
    spelled = replace(
        found, token=common + 1, before=_text(tokenizer, begun), old=said[0], new=said[1]
    )
    if common in (len(ours), len(theirs)):
        return spelled, None
    return spelled, (begun, ours[common], theirs[common])


def _ids(tokenizer: Any, answer: Transcript) -> list[int]:
    """
    Return the tokens of an answer, with the one that ended it, which a server may have left out.
    """
    ids = [int(id_) for id_ in tokenizer.encode(answer.output, add_special_tokens=False)]
    ended = bool(ids) and ids[-1] in tokenizer.all_special_ids
    if answer.finish_reason == "stop" and not ended and tokenizer.eos_token_id is not None:
        ids.append(int(tokenizer.eos_token_id))
    return ids


def _common(ours: Sequence[int], theirs: Sequence[int]) -> int:
    pairs: Iterator[tuple[int, int]] = zip(ours, theirs, strict=False)
    return next(
        (place for place, (one, other) in enumerate(pairs) if one != other),
        min(len(ours), len(theirs)),
    )


def _text(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))
