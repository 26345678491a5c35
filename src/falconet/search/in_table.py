"""Searches judged by a published table instead of trainings: thousands in minutes, for comparing strategies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from falconet.evaluate.score import Cost, Trial
from falconet.evaluate.tables import Table
from falconet.search.loop import Evaluate
from falconet.search.strategy import Feasible
from falconet.spaces import Arch


def evaluator(table: Table, feasible: Feasible, quality: Sequence[str], costs: Sequence[str]) -> Evaluate:
    """The judge of a search in the table: what columns say of a network, nothing else."""
    figures = {name: table.column(name) for name in (*quality, *costs)}

    def evaluate(asked: Sequence[tuple[int, Arch]]) -> Iterable[Trial]:
        for index, arch in asked:
            row = table.place(arch)
            yield Trial(
                index,
                arch,
                feasible.network(arch),
                quality={name: float(figures[name][row]) for name in quality},
                costs={name: Cost(float(figures[name][row]), "measured") for name in costs},
                fidelity=f"table {table.path.name}",
            )

    return evaluate
