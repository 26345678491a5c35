"""Runs: a recipe read, a folder that records everything, and the pipeline from photos to a verified model."""

from falconet.run.recipe import Recipe, dump, load

__all__ = ["Recipe", "dump", "load"]
