"""README and docs do what they say: every block is run, as it stands, in a folder that holds what a newcomer has.

Blocks are fenced. ```sh: `falconet` lines are run through the command line, with shorter trainings set behind what is
written (`SHORTER`); lines of `make` and of the shell are checked only, since they install for minutes. ```python: the
blocks of a page are one program. ```yaml: whole sections of a recipe, put over the template's. A block that cannot be
run stands behind `<!-- not run: reason -->`.
"""

import re
import shlex
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from pydantic import BaseModel

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(
    r"(?P<skip><!-- not run: (?P<reason>[^>]+) -->\n)?^(?P<indent> *)```(?P<kind>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
# Put behind the settings that a page shows: the same stages, a few steps of each.
SHORTER = (
    "supernet.steps=2", "supernet.batch=2", "supernet.precision=float32",
    "search.evaluations=6", "search.population=3", "final.steps=2", "final.batch=2", "final.precision=float32",
    "budget.at_output=256x128",
)  # fmt: skip
SMALLER = ("space.width=[4,8]", "space.depth=[1,2]", "task.patch=16")  # only where the page names no space


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    kind: str
    text: str
    reason: str | None  # why it is not run


def blocks(page: Path, kind: str) -> list[Block]:
    """The fenced blocks of one kind."""
    text = page.read_text(encoding="utf-8")
    found = [
        Block(page, text.count("\n", 0, m.start()) + 1, m["kind"], textwrap.dedent(m["text"]), m["reason"])
        for m in BLOCK.finditer(text)
    ]
    assert len(found) * 2 == len(re.findall(r"^ *```", text, re.MULTILINE)), f"{page.name}: a block is not closed"
    return [block for block in found if block.kind == kind]


def commands(page: Path) -> list[tuple[int, list[str]]]:
    """(line, words) of every command of a page that is to be run."""
    found = []
    for block in blocks(page, "sh"):
        for number, line in enumerate(block.text.splitlines()):
            words = shlex.split(line, comments=True)
            if words and block.reason is None:
                found.append((block.line + 1 + number, words))
    return found


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a newcomer has: folders of photos, one photo, a space. Pages run in copies of it."""
    import skimage.data

    folder = tmp_path_factory.mktemp("newcomer")
    for group, names in {
        "photos": ("chelsea", "coffee", "camera", "coins"),
        "holiday": ("astronaut", "rocket"),
    }.items():
        (folder / group).mkdir()
        for name in names:
            pixels = getattr(skimage.data, name)()[100:196, 100:228]
            Image.fromarray(pixels).save(folder / group / f"{name}.png")
    shutil.copytree(folder / "holiday", folder / "Set5")
    Image.open(folder / "holiday" / "rocket.png").save(folder / "photo.jpg")
    shutil.copy(ROOT / "examples" / "my_space.py", folder)
    return folder


@pytest.fixture
def here(newcomer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the newcomer's folder, which the commands run in."""
    folder = tmp_path / "here"
    shutil.copytree(newcomer, folder)
    monkeypatch.chdir(folder)
    yield folder


def shorter(words: list[str]) -> list[str]:
    """The command with shorter trainings."""
    settings: list[str] = []
    if words[1] in ("plan", "run"):
        own_space = "--space" in words or any(word.startswith("space=") for word in words)
        settings = [*SHORTER, *(("task.patch=16",) if own_space else SMALLER)]
    if words[1] == "train":
        settings = ["final.steps=1", "final.batch=2", "final.precision=float32", "budget.at_output=256x128"]
    if words[1] == "search":
        settings = [one for one in SHORTER if one.startswith(("search.", "final."))]
    return [*words, *(part for one in settings for part in ("--set", one))]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.stem)
def test_commands(page: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from falconet.cli import main
    from falconet.deploy import DEFAULT_MODEL, shipped_models

    without = [] if DEFAULT_MODEL in shipped_models() else [DEFAULT_MODEL]
    for line, words in commands(page):
        where = f"{page.name}:{line}: {shlex.join(words)}"
        if words[0] in ("make", ".", "cd", "git", "python") or words[0].startswith(".venv"):
            assert words[0] != "make" or all(target in makefile_targets() for target in words[1:2]), where
            continue
        assert words[0] == "falconet", where
        needs_default = words[1] == "enhance" and "--model" not in words
        if without and (needs_default or any(name in words for name in without)):
            continue  # no model ships yet
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(shorter(words)[1:])
        assert not ended.value.code, f"{where}\n{capsys.readouterr().err}"


def makefile_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem)
def test_python(page: Path, here: Path) -> None:
    program: dict[str, object] = {"__name__": page.stem}
    for block in blocks(page, "python"):
        if block.reason is None:
            exec(compile("\n" * block.line + block.text, str(page), "exec"), program)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "yaml")], ids=lambda page: page.stem)
def test_yaml(page: Path, here: Path) -> None:
    import yaml

    from falconet.run.reading import read_yaml
    from falconet.run.recipe import from_tree
    from falconet.run.templates import write_template

    write_template("sr", here / "template.yaml")
    template = yaml.safe_load((here / "template.yaml").read_text())
    for block in blocks(page, "yaml"):
        from_tree({**template, **read_yaml(block.text, page.name)}, f"{page.name}:{block.line}")


def test_blocks_are_of_a_kind_that_is_run_and_say_why_when_they_are_not() -> None:
    for page in PAGES:
        kinds = set(re.findall(r"^ *```(\w+)$", page.read_text(encoding="utf-8"), re.MULTILINE))
        assert kinds <= {"sh", "python", "yaml", "text"}, page.name


def test_links_lead_somewhere() -> None:
    from falconet.deploy import DEFAULT_MODEL, shipped_models

    for page in PAGES:
        text = BLOCK.sub("", page.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            if target.startswith("docs/images") and DEFAULT_MODEL not in shipped_models():
                continue  # pictures are drawn by the model that ships
            assert (page.parent / target).exists(), f"{page.name}: {target}"
        for anchor in re.findall(r"\]\(#([^)]+)\)", text):
            titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, anchor


def test_commands_in_the_readme_are_all_the_commands_there_are() -> None:
    import typer.main

    from falconet.cli import app

    there = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"falconet ([a-z]+)\b", "\n".join(b.text for b in blocks(ROOT / "README.md", "sh"))))
    assert named == there


def test_every_result_file_is_listed_and_says_where_it_comes_from() -> None:
    folder = ROOT / "results"
    rows_of_files = re.findall(r"^\| (`[^|]+) \|", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    listed = set(re.findall(r"`(\w+\.json)`", " ".join(rows_of_files)))
    others = {f"real_noise_{camera}.json" for camera in ("Canon600D", "Canon80D", "NikonD800")}  # "and three others"
    there = {file.name for file in folder.glob("*.json")}
    assert there - others == listed
    for file in sorted(folder.glob("*.json")):
        text = file.read_text(encoding="utf-8")
        assert '"command"' in text and '"date"' in text, file.name


# docs/recipes.md against the models


def tables(page: Path) -> dict[str, dict[str, str]]:
    """Heading -> {setting: default} of the tables of settings in a page."""
    found: dict[str, dict[str, str]] = {}
    heading = ""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if match := re.match(r"\| `(\w+)` \| ([^|]+) \|", line):
            found.setdefault(heading, {})[match[1]] = match[2].strip()
    return found


def section_models() -> dict[str, type[BaseModel]]:
    from falconet.run.below_space import BelowSpace
    from falconet.run.recipe import SECTIONS, Recipe
    from falconet.run.settings import RivalSettings
    from falconet.run.teacher import TeacherSettings
    from falconet.search import STRATEGIES
    from falconet.spaces import SPACES
    from falconet.tasks import TASKS, Camera
    from falconet.train.settings import PathSettings, TrainSettings

    tabled = {
        **{f"task: {name}": model for name, model in TASKS.items()},
        **{f"space: {name}": model for name, model in SPACES.items()},
        "space: below": BelowSpace,
        **{f"search: {name}": strategy.Settings for name, strategy in STRATEGIES.items()},
    }
    return {
        "recipe": Recipe, **SECTIONS, **tabled, "rivals": RivalSettings, "teacher": TeacherSettings,
        "paths": PathSettings, "Training settings": TrainSettings, "camera": Camera,
    }  # fmt: skip


def defaults(model: type[BaseModel]) -> dict[str, object]:
    """Setting -> default as JSON has it; those shared by all trainings only where they are declared."""
    from falconet.train.settings import TrainSettings

    shared = set() if model is TrainSettings else set(TrainSettings.model_fields)
    found: dict[str, object] = {}
    for name, field in model.model_fields.items():
        if name not in shared:
            found[name] = "required" if field.is_required() else field.get_default(call_default_factory=True)
    return found


def written(value: object) -> str:
    """A default as the page writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "not set"
    if isinstance(value, tuple):
        return f"[{', '.join(map(written, value))}]"
    return "empty" if value == "" else str(value)


def test_every_setting_is_in_the_docs_with_its_default() -> None:
    page = tables(ROOT / "docs" / "recipes.md")
    models = section_models()
    assert set(page) == set(models)
    for title, model in models.items():
        real = defaults(model)
        if ":" in title:  # the name itself is in the heading
            real = {name: value for name, value in real.items() if name not in ("name", "strategy")}
        assert set(page[title]) == set(real), title
        for name, value in real.items():
            if isinstance(value, BaseModel):  # a group has a table of its own; here a word for it
                continue
            told = page[title][name]
            assert told == written(value) or (title == "recipe" and value == "required"), f"{title}: {name}"


def test_groups_in_the_recipe_table_default_to_what_they_say() -> None:
    from falconet.run.recipe import parse

    recipe = parse(
        "task: super_resolution\ndata: {train: x}\nspace: restoration\nsupernet: {steps: 1}\nfinal: {steps: 1}"
    )
    page = tables(ROOT / "docs" / "recipes.md")["recipe"]
    assert page["search"] == "`nsga2`" and recipe.search.strategy == "nsga2"  # type: ignore[attr-defined]
    assert page["budget"] == "`{}`" and recipe.budget.limits() == {}
    assert page["trust"] == "off" and recipe.trust.networks == 0
    assert page["rivals"] == "none" and recipe.rivals.nets == ()
    assert recipe.supernet.paths.name == tables(ROOT / "docs" / "recipes.md")["supernet"]["paths"]


def test_the_space_page_has_every_option_of_the_space_that_ships() -> None:
    from falconet.spaces import Restoration

    assert set(tables(ROOT / "docs" / "spaces.md")["restoration"]) == set(Restoration.model_fields) - {"name"}
