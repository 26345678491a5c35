"""Tasks: what the pictures are, how they are spoiled, how a result is judged."""

from falconet.tasks.images import Picture, Skipped, list_pictures, read_picture, write_picture
from falconet.tasks.super_resolution import SuperResolution
from falconet.tasks.task import Comparison, Dataset, DataSettings, Example, Run, Task, TestResult

__all__ = [
    "TASKS",
    "Comparison",
    "DataSettings",
    "Dataset",
    "Example",
    "Picture",
    "Run",
    "Skipped",
    "SuperResolution",
    "Task",
    "TestResult",
    "list_pictures",
    "read_picture",
    "write_picture",
]

# To add a task: one file with a frozen settings model that satisfies `Task`, and one line here.
TASKS = {"super_resolution": SuperResolution}
