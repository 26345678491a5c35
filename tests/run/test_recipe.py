from pathlib import Path

import pytest

from falconet.errors import UserError
from falconet.graph import NetSpec
from falconet.run.recipe import can_be_written, changed, dump, load, parse
from falconet.run.settings import SpaceFile
from falconet.run.templates import kinds, write_template
from falconet.spaces import Pick, Restoration, build, largest
from falconet.tasks import SuperResolution

SHORT = """
task: super_resolution
data: {train: ./photos}
space: restoration
budget: {macs: 6.1G, at_output: 1280x720}
supernet: {minutes: 25}
final: {minutes: 40}
"""


def test_short_forms_and_defaults() -> None:
    recipe = parse(SHORT)
    assert recipe.task == SuperResolution(scale=2)
    assert recipe.data.train == (Path("photos"),)
    assert recipe.budget.macs == 6.1e9
    assert recipe.budget.at_output == (1280, 720)
    assert recipe.search.evaluations == 300
    assert recipe.supernet.paths.name == "sandwich"
    assert (recipe.seed, recipe.workers) == (0, 1)


def test_space_takes_scale_and_colour_from_the_task() -> None:
    recipe = parse(SHORT, overrides=["task.scale=3", "task.colour=rgb"])
    assert isinstance(recipe.space, Restoration)
    assert (recipe.space.scale, recipe.space.colour) == (3, "rgb")


@pytest.mark.parametrize("kind", kinds())
def test_templates_are_recipes_that_read_back_equal(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    write_template(kind, path)
    recipe = load(path)
    assert parse(dump(recipe)) == recipe


@pytest.mark.parametrize(
    "override",
    ["search={strategy: evolution, parents: 3}", "final.at=[1G, 6123456789]", "supernet.paths={name: uniform}"],
)
def test_every_setting_reads_back_equal(override: str) -> None:
    recipe = parse(SHORT, overrides=[override])
    assert parse(dump(recipe)) == recipe
    assert recipe != parse(SHORT)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("budget.mac=6G", "--set: budget.mac is not a setting; did you mean budget.macs?"),
        ("sead=3", "--set: sead is not a setting; did you mean seed?"),
        ("task.scael=3", "did you mean task.scale?"),
        ("task.name=superresolution", "did you mean super_resolution?"),
        ("space.widht=[8]", "did you mean space.width?"),
        ("search.strategy=nsga3", "did you mean nsga2?"),
        ("search.populaton=3", "did you mean search.population?"),
        ("supernet.paths={name: sandwich, rand: 2}", "did you mean supernet.paths.random?"),
        ("task.scale=two", "task.scale should be a valid integer"),
        ("task.scale=7", "task.scale should be less than or equal to 4; got 7"),
        ("budget=6G", "budget must be a group of settings"),
        ("budget.macs=lots", "budget.macs: a quantity must be a number"),
        ("budget.at_input=64x64", "name the picture size once"),
        ("final.at=[2G, 3X]", "final.at.1: a quantity must be a number"),
        ("supernet={}", "supernet: say how long to train: either steps or minutes"),
        ("supernet={steps: 3, minutes: 3}", "supernet: say how long to train"),
        ("supernet={steps: 3, optimizer: soap, paths: uniform}", "supernet: optimizer soap moves weights whole"),
        ("supernet.optimizer=adam", "supernet.optimizer should be 'adamw', 'sgd' or 'soap'"),
        ("space.scale=3", "space.scale is 3, but task.scale is 2"),
        ("space=nowhere.py", "none at nowhere.py"),
        ("seed=-1", "seed should be greater than or equal to 0"),
        ("data.train.deeper=3", "data"),
        ("budget", "--set takes KEY=VALUE"),
        ("budget.macs=[", "is not YAML"),
    ],
)
def test_a_wrong_setting_is_named(override: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(SHORT, "recipe.yaml", [override])
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_all_mistakes_are_told_at_once_each_with_its_source() -> None:
    text = SHORT.replace("minutes: 25", "minuts: 25").replace("macs", "mac")
    with pytest.raises(UserError) as caught:
        parse(text, "mine.yaml", ["task.scale=9"])
    lines = str(caught.value).splitlines()
    assert "--set: task.scale should be less than or equal to 4; got 9" in lines
    assert "mine.yaml: budget.mac is not a setting; did you mean budget.macs?" in lines
    assert "mine.yaml: supernet.minuts is not a setting; did you mean supernet.minutes?" in lines


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "recipe.yaml, line 1: not YAML"), ("- a", "must hold settings"), ("", "task.name must be given")],
)
def test_what_is_no_recipe(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(text, "recipe.yaml")


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no recipe"):
        load(tmp_path / "recipe.yaml")
    (tmp_path / "picture.yaml").write_bytes(b"\x89PNG\xff")
    with pytest.raises(UserError, match="not a text file"):
        load(tmp_path / "picture.yaml")


def test_overriding_one_length_replaces_the_other() -> None:
    recipe = parse(SHORT, overrides=["supernet.steps=10"])
    assert (recipe.supernet.steps, recipe.supernet.minutes) == (10, None)


def test_changed_touches_only_what_may_change() -> None:
    recipe = parse(SHORT)
    other = changed(recipe, ["budget.macs=2G", "search=random"], ("budget", "search", "final"))
    assert other.budget.macs == 2e9
    assert type(other.search).__name__ == "RandomSettings"
    assert other.task == recipe.task
    with pytest.raises(UserError, match="task cannot change any more; these can: budget, search, final"):
        changed(recipe, ["task.scale=3"], ("budget", "search", "final"))
    with pytest.raises(UserError, match="did you mean budget"):
        changed(recipe, ["budgte.macs=3"], ("budget", "search", "final"))


def test_a_space_of_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from falconet import Draft\n"
        "from falconet.graph import Conv, PixelShuffle\n"
        "def wide(pick):\n"
        "    d = Draft(x=1)\n"
        "    y = d.layer('a', Conv(pick('width', (8, 16))), 'x')\n"
        "    return d.build(d.layer('up', PixelShuffle(2), d.layer('b', Conv(4), y)))\n"
    )
    recipe = parse(SHORT, overrides=[f"space={path}:wide"])
    assert isinstance(recipe.space, SpaceFile)
    assert recipe.space.parts == (path, "wide")
    assert build(recipe.space, largest(recipe.space)).inputs[0].channels == 1
    assert parse(dump(recipe)) == recipe


def test_objects_of_a_program_cannot_be_written() -> None:
    recipe = parse(SHORT)
    assert can_be_written(recipe)

    def own(pick: Pick) -> NetSpec:
        return recipe.space(pick)

    assert not can_be_written(recipe.model_copy(update={"space": own}))
    assert "own" in dump(recipe.model_copy(update={"space": own}))
    task = SuperResolution(scale=2, criterion=lambda output, target: (output - target).abs().mean())
    assert not can_be_written(recipe.model_copy(update={"task": task}))


def test_init_writes_over_nothing(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        write_template("sr", path)
    assert path.read_text() == "mine"
    with pytest.raises(UserError, match="no recipe template 'src'; did you mean sr"):
        write_template("src", tmp_path / "other.yaml")
    with pytest.raises(UserError, match="no folder"):
        write_template("sr", tmp_path / "nowhere" / "recipe.yaml")
