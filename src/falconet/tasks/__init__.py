"""Tasks: what the pictures are, how they are spoiled, how a result is judged."""

from falconet.tasks.camera import Camera
from falconet.tasks.classification import Classification
from falconet.tasks.denoising import Denoising
from falconet.tasks.images import Picture, Skipped, list_pictures, read_picture, write_picture
from falconet.tasks.super_resolution import SuperResolution
from falconet.tasks.task import Classifier, Comparison, Dataset, DataSettings, Example, Pictures, Run, Task, TestResult

__all__ = [
    "TASKS",
    "Camera",
    "Classification",
    "Classifier",
    "Comparison",
    "DataSettings",
    "Dataset",
    "Denoising",
    "Example",
    "Picture",
    "Pictures",
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
TASKS: dict[str, type[SuperResolution | Denoising | Classification]] = {
    "super_resolution": SuperResolution,
    "denoising": Denoising,
    "classification": Classification,
}
