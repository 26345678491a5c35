"""Tasks: what the pictures are, how they are spoiled, how a result is judged."""

from falconet.tasks.super_resolution import SuperResolution
from falconet.tasks.task import DataSettings, Dataset, Example, Run, Skipped, Task, TestResult

__all__ = ["TASKS", "DataSettings", "Dataset", "Example", "Run", "Skipped", "SuperResolution", "Task", "TestResult"]

# To add a task: one file with a frozen settings model that satisfies `Task`, and one line here.
TASKS = {"super_resolution": SuperResolution}
