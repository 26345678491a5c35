"""How good a network is and what it costs. This file imports no torch; modules that need it are imported by name."""

from falconet.evaluate.score import (
    Budget,
    Cost,
    InfeasibleBudget,
    Objective,
    Trial,
    check_budget,
    format_quantity,
    parse_quantity,
    parse_size,
)

__all__ = [
    "Budget",
    "Cost",
    "InfeasibleBudget",
    "Objective",
    "Trial",
    "check_budget",
    "format_quantity",
    "parse_quantity",
    "parse_size",
]
