"""The search loop: asks a strategy, evaluates, logs, tells. The log is its only state.

Each round draws from a generator seeded by (seed, round), `ask` is pure and `tell` sees whole rounds in index order.
So a search that is killed anywhere and started again asks for the same architectures, finds most of them in the log,
evaluates the missing ones, and ends with the trials of a search that was never killed; only the measured seconds
differ, and with several workers the order of lines within a round.

Several searches may share one log, told apart by `search` (an id) and `proposer`. The random baseline of a search is
the same loop with RandomSearch, the same number of evaluations and another proposer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from typing import TypeAlias

from falconet.errors import UserError
from falconet.evaluate.score import Trial
from falconet.files import append_line, read_lines
from falconet.search.strategy import Strategy
from falconet.spaces import Arch

Evaluate: TypeAlias = Callable[[Sequence[tuple[int, Arch]]], Iterable[Trial]]


def search(
    strategy: Strategy,
    evaluate: Evaluate,
    log: Path,
    *,
    evaluations: int,
    round_size: int,
    seed: int,
    search_id: str,
    proposer: str,
    on_trial: Callable[[Trial], None] | None = None,
) -> list[Trial]:
    """The trials of one search in index order, at most `evaluations`; fewer when the strategy knows no new network.

    `evaluate` gets (index, architecture) pairs and yields one Trial for each, in any order; what belongs to the
    search (search, proposer, round, seed) is filled in here. A score that is not finite makes its trial a failed one.
    `on_trial` sees every trial, those found in the log first. Strategies propose no network twice, so nothing here
    does.
    """
    known = {
        trial.index: trial for trial in read_trials(log) if (trial.search, trial.proposer) == (search_id, proposer)
    }
    trials: list[Trial] = []
    for number in count():
        wanted = min(round_size, evaluations - len(trials))
        archs = strategy.ask(Random(f"{seed}/{number}"), wanted) if wanted > 0 else []
        if not archs:
            return trials
        tasks = dict(enumerate(archs, len(trials)))
        done = {index: known[index] for index in tasks if index in known}
        for trial in done.values():
            _check_same(trial, tasks[trial.index], log)
            if on_trial:
                on_trial(trial)
        missing = [(index, arch) for index, arch in tasks.items() if index not in done]
        for fresh in evaluate(missing) if missing else ():
            assert tasks[fresh.index] == fresh.arch and fresh.index not in done, (
                "evaluate answers what it was asked, once"
            )
            trial = replace(finite(fresh), search=search_id, proposer=proposer, round=number, seed=seed)
            append_line(log, json.dumps(trial.to_json(), allow_nan=False, ensure_ascii=False))
            done[trial.index] = trial
            if on_trial:
                on_trial(trial)
        assert len(done) == len(tasks), f"evaluate left out trials {sorted(set(tasks) - set(done))}"
        told = [done[index] for index in tasks]
        strategy.tell(told)
        trials += told
    raise AssertionError("count() has no end")


def read_trials(log: Path) -> list[Trial]:
    """All trials of a log, in the order written; none when there is no log. A torn last line is not there yet."""
    trials = []
    for number, line in enumerate(read_lines(log), 1):
        try:
            trials.append(Trial.from_json(json.loads(line)))
        except ValueError as error:
            raise UserError(f"line {number} of {log} is not a trial; was the file edited? ({error})") from error
    return trials


def finite(trial: Trial) -> Trial:
    """The trial itself, or a failed one that names its first score that is not a finite number."""
    scores = {**trial.quality, **{name: cost.value for name, cost in trial.costs.items()}}
    wrong = [name for name, value in scores.items() if not math.isfinite(value)]
    if not wrong:
        return trial
    return replace(
        trial,
        status="failed",
        error=trial.error or f"{wrong[0]} is {scores[wrong[0]]}",
        quality={name: value for name, value in trial.quality.items() if name not in wrong},
        costs={name: cost for name, cost in trial.costs.items() if name not in wrong},
    )


def _check_same(trial: Trial, arch: Arch, log: Path) -> None:
    if trial.arch != arch:
        raise UserError(
            f"{log} holds another network for trial {trial.index} of search {trial.search!r} by {trial.proposer!r}; "
            "the space, budget or settings changed since it was written. Start another search, or undo the change."
        )
