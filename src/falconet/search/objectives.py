"""The objectives of a search, as strategies check and read them."""

from __future__ import annotations

from collections.abc import Sequence

from falconet.errors import UserError
from falconet.evaluate.score import Objective, Trial


def only_objective(objectives: Sequence[Objective], who: str) -> Objective:
    """The one objective there is; UserError for a strategy that improves one thing only and gets another number."""
    if len(objectives) != 1:
        names = ", ".join(objective.name for objective in objectives)
        raise UserError(
            f"{who} improves exactly one objective, not {names or 'none'}; use nsga2 or predictor for several"
        )
    return objectives[0]


def loss(trial: Trial, objective: Objective) -> float:
    """The score of a trial, turned so that less is better."""
    return -trial.value(objective.name) if objective.maximize else trial.value(objective.name)
