"""Networks of the zoo as a task wants them; one that does not suit it is refused in a line."""

import pytest

from falconet.errors import UserError
from falconet.graph import flatten
from falconet.run.prepared import zoo_network
from falconet.tasks import Classification, SuperResolution


def test_scale_and_classes_are_taken_over() -> None:
    assert zoo_network("espcn", SuperResolution(scale=3), {}).layers[-1].op.factor == 3  # type: ignore[union-attr]
    net = zoo_network("resnet20", Classification(classes=("cat", "dog", "fish")), {})
    assert flatten(net).layers[-1].op.out == 3  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "task", "options", "message"),
    [
        ("resnet20", SuperResolution(), {}, "resnet20 classifies pictures, which the task super_resolution does not"),
        ("espcn", Classification(), {}, "espcn makes pictures, which the task classification does not"),
        ("espcn", SuperResolution(), {"width": 9}, "espcn has no option 'width'; it has scale"),
        ("shufflenet_v1_g3", Classification(), {"width": 7}, "must be one of 0.5, 1.0, 1.5, 2.0; got 7"),
    ],
)
def test_what_does_not_suit_is_refused(name: str, task: object, options: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        zoo_network(name, task, options)  # type: ignore[arg-type]


def test_the_channels_of_the_task_are_taken_over_or_missed() -> None:
    colour = SuperResolution(colour="rgb")
    assert [one.channels for one in zoo_network("plain_sr", colour, {}).inputs] == [3]
    with pytest.raises(UserError, match=r"espcn takes 1 channel\(s\), the task super_resolution gives 3"):
        zoo_network("espcn", colour, {})
