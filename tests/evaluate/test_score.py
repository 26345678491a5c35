"""Quantities, budgets and trials: what a person writes, and what a log brings back."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from falconet.errors import UserError
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
from falconet.spaces import Arch


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("6.1G", 6.1e9),
        ("750K", 750e3),
        ("12M", 12e6),
        ("2.5T", 2.5e12),
        ("6100000", 6.1e6),
        (6_100_000, 6.1e6),
        (0.5, 0.5),
        ("6_100_000", 6.1e6),
        ("1e9", 1e9),
        (" 3 k ", 3e3),
        (".5M", 5e5),
        (1e22, 1e22),
    ],
)
def test_parse_quantity(text, number):
    assert parse_quantity(text) == number


@pytest.mark.parametrize(
    "text", ["", "G", "6,1G", "-3K", -3, "6.1 GMACs", "1.2.3", "nan", "inf", float("nan"), True, None]
)
def test_parse_quantity_refuses(text):
    with pytest.raises(UserError, match="quantity must be a number"):
        parse_quantity(text)


@given(st.floats(1e-2, 9.99e14))
def test_formatted_quantities_read_back_to_three_digits(value):
    assert parse_quantity(format_quantity(value)) == pytest.approx(value, rel=0.00501)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (999.4, "999"), (999.6, "1K"), (1_049_999, "1.05M"), (36_588, "36.6K"), (2.5e9, "2.5G")],
)
def test_format_quantity(value, text):
    assert format_quantity(value) == text


def test_parse_size():
    assert parse_size("1280x720") == parse_size(" 1280 × 720 ") == parse_size([1280, 720]) == (1280, 720)
    for wrong in ("1280", "0x720", "1280x720x3", "axb", (1280,), (1280.0, 720), None):
        with pytest.raises(UserError, match="WIDTHxHEIGHT"):
            parse_size(wrong)


def test_budget_reads_what_a_recipe_says_and_writes_it_back():
    budget = Budget(macs="6.1G", params=20_000, at_output="1280x720")
    assert budget.limits() == {"macs": 6.1e9, "params": 2e4} and budget.at_output == (1280, 720)
    assert Budget.model_validate(json.loads(budget.model_dump_json())) == budget
    assert budget.model_dump()["at_output"] == "1280x720"
    assert Budget().limits() == {} and Budget().exceeded({"macs": 1e30}) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"macs": "6.1G"}, "depends on the size of the picture"),
        ({"latency_ms": 30}, "depends on the size of the picture"),
        ({"macs": "6.1G", "at_output": "1280x720", "at_input": "640x360"}, "not both"),
        ({"params": 0}, "more than 0"),
        ({"params": "lots"}, "quantity must be a number"),
        ({"macs": 1, "at_output": "big"}, "WIDTHxHEIGHT"),
        ({"mac": 1}, "Extra inputs"),
    ],
)
def test_budget_refuses(settings, message):
    with pytest.raises(ValidationError, match=message):
        Budget(**settings)


def test_exceeded_judges_each_cost_that_is_known():
    budget = Budget(macs="2.5G", params="10K", latency_ms=30, at_output="1280x720")
    assert budget.exceeded({"macs": 2.5e9, "params": 10_000}) == []
    assert budget.exceeded({"macs": Cost(2.6e9, "counted"), "latency_ms": Cost(31.0, "measured"), "other": 9.0}) == [
        "macs 2.6G is over the budget of 2.5G",
        "latency_ms 31 is over the budget of 30",
    ]


def test_a_budget_nothing_meets_names_the_smallest_cost():
    budget = Budget(macs="1M", params="10K", at_output="1280x720")
    with pytest.raises(InfeasibleBudget, match=r"The smallest cost there is: macs 35\.2M, params 900\."):
        check_budget(budget, {"macs": 35.2e6, "params": 900})
    assert check_budget(budget, {"macs": 1e6, "params": 900}) is None
    assert issubclass(InfeasibleBudget, UserError)


trials = st.builds(
    Trial,
    index=st.integers(0),
    arch=st.dictionaries(st.text(min_size=1), st.integers() | st.text() | st.booleans(), max_size=3).map(Arch),
    network=st.text(),
    status=st.sampled_from(["ok", "infeasible", "failed"]),
    error=st.text(),
    quality=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False), max_size=2),
    costs=st.dictionaries(
        st.text(),
        st.builds(Cost, st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["counted", "measured"])),
        max_size=2,
    ),
    weights=st.text(),
    seconds=st.floats(0, 1e6),
    round=st.integers(0),
    search=st.text(),
    proposer=st.text(),
)


@given(trials)
def test_a_trial_comes_back_from_its_line_bit_for_bit(trial):
    line = json.dumps(trial.to_json(), allow_nan=False)
    back = Trial.from_json(json.loads(line))
    assert back == trial and json.dumps(back.to_json()) == line


def test_a_line_that_is_no_trial_is_refused():
    good = Trial(index=0, arch=Arch({}), network="n").to_json()
    for change in ({"status": "fine"}, {"index": "first"}, {"surprise": 1}, {"costs": {"macs": {"value": 1}}}):
        with pytest.raises(ValueError, match="validation error"):
            Trial.from_json({**good, **change})


def test_values_and_scores():
    trial = Trial(0, Arch({}), "n", quality={"psnr_y": 37.0}, costs={"macs": Cost(2.5e9, "counted")})
    up, down, other = Objective("psnr_y", True), Objective("macs", False), Objective("ssim_y", True)
    assert trial.value("psnr_y") == 37.0 and trial.scores((up, down)) == (37.0, 2.5e9)
    assert trial.scores((up, other)) is None and math.isfinite(trial.value("macs"))
    failed = Trial(0, Arch({}), "n", status="failed", quality={"psnr_y": 37.0})
    assert failed.scores((up,)) is None
