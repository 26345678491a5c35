"""The examples in the docstrings of graph/ and zoo/ do what they show."""

import doctest
import importlib
import pkgutil

import pytest

import falconet.graph
import falconet.zoo

MODULES = [
    info.name
    for package in (falconet.graph, falconet.zoo)
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    attempted = [doctest.testmod(importlib.import_module(name)).attempted for name in MODULES]
    assert sum(attempted) >= 10
