import json
import re
from base64 import b64decode, b64encode
from collections import Counter
from hashlib import sha256
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from falconet.errors import UserError
from falconet.report import Results, read_results, write_results
from falconet.report.page import write_report
from falconet.report.pictures import MAX_SIDE, PATCH, embed, most_different
from falconet.report.reading import Picture, read_run
from falconet.report.results import PictureExample, SkippedFile

VOID = {"meta", "link", "img", "input", "br"}
EVIL = "</title></style>\"'><script>alert(1)</script><img src=x onerror=alert(1)>"


class Parsed(HTMLParser):
    """The elements of a page, its text by element, and whether every element is closed where it must be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.misplaced: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.misplaced.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def said(self) -> str:
        """All text a reader sees."""
        return " ".join(" ".join(data for tag, data in self.texts if tag not in ("script", "style")).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def report(folder: Path) -> Parsed:
    path = write_report(folder)
    assert path == folder / "report.html"
    return Parsed(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def text(finished_run: Path) -> str:
    return write_report(finished_run).read_text(encoding="utf-8")


def test_the_page_is_sound_html(text: str) -> None:
    page = Parsed(text)
    assert page.misplaced == [] and page.open == []
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    assert len(page.all("h1")) == 1
    links = {a["href"].removeprefix("#") for a in page.all("a") if a["href"].startswith("#")}
    assert links <= set(ids), "every section that is linked to is there"


def test_nothing_is_loaded_from_anywhere(text: str, finished_run: Path) -> None:
    page = Parsed(text)
    for attributes in page.all("img"):
        assert attributes["src"].startswith("data:image/webp;base64,")
    for attributes in page.all("a") + page.all("link"):
        link = attributes["href"]
        assert link.startswith(("#", "data:")) or (finished_run / link).is_file(), link
    outside = re.sub(r"data:image/webp;base64,[A-Za-z0-9+/=]*", "", text)
    assert "http:" not in outside and "https:" not in outside and "url(" not in outside and "@import" not in outside


def test_the_policy_allows_the_script_of_the_page_and_no_other(text: str) -> None:
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    assert script is not None
    digest = b64encode(sha256(script[1].encode()).digest()).decode()
    policies = [one["content"] for one in Parsed(text).all("meta") if "http-equiv" in one]
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert re.findall(r"script-src ([^;]*)", policies[0]) == [f"'sha256-{digest}'"]


def test_the_page_is_light_without_its_pictures(text: str) -> None:
    assert len(re.sub(r"data:image/webp;base64,[A-Za-z0-9+/=]*", "", text).encode()) < 600_000


def test_pictures_charts_and_tables_have_words(text: str) -> None:
    page = Parsed(text)
    assert len(page.all("img")) == 2 * 3 * 3 + 3, "two models, three examples, three pictures; one close-up"
    assert all(image["alt"] for image in page.all("img"))
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in page.all("svg"))
    assert all(header["scope"] in ("col", "row") for header in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(slider["aria-label"] for slider in page.all("input") if slider["type"] == "range")


def test_every_part_of_a_finished_run_is_on_its_page(text: str) -> None:
    said = Parsed(text).said()
    for words in (
        "A 2.4 GMACs network that scores 37.1 dB on Set5",
        "255 times cheaper than VDSR",
        "Ahead, in this run",
        "89 of 100 cases",
        "not a picture",
        "BT.601 luma",
        "Test pictures of scikit-image.",
        "paths: sandwich",
        "packages.torch",
        "space_size.count",
        "falconet enhance photo.jpg --model runs",
        "1 h 50 min",
    ):
        assert words in said, words
    assert "This run is not finished" not in said


def test_pictures_are_kept_to_the_pixel(text: str, finished_run: Path) -> None:
    first = next(image for image in Parsed(text).all("img") if "original" in image["alt"])
    shown = Image.open(BytesIO(b64decode(first["src"].partition(",")[2]))).convert("RGB")
    truth = Image.open(finished_run / "models/medium/examples/chelsea-truth.png")
    assert np.array_equal(np.asarray(shown), np.asarray(truth))


def test_text_from_strangers_stays_text(own_run: Path, results: Results) -> None:
    name = "x<img src=x onerror=alert(2)>"
    models = tuple(
        model.model_copy(update={"name": f"{name}{i}", "arch": {EVIL: EVIL}}) for i, model in enumerate(results.models)
    )
    update = {
        "run": EVIL,
        "protocol": EVIL,
        "terms": EVIL,
        "notes": (EVIL,),
        "at_output": EVIL,
        "models": models,
        "baselines": tuple(one.model_copy(update={"title": EVIL, "source": EVIL}) for one in results.baselines),
        "stages": tuple(one.model_copy(update={"name": EVIL, "done": False}) for one in results.stages),
        "searches": tuple(one.model_copy(update={"id": EVIL}) for one in results.searches),
        "comparisons": tuple(one.model_copy(update={"left": EVIL, "data": EVIL}) for one in results.comparisons),
        "test_skipped": {EVIL: (SkippedFile(path=EVIL, reason=EVIL),)},
    }
    write_results(own_run, results.model_copy(update=update))
    (own_run / "recipe.yaml").write_text(EVIL)
    (own_run / "environment.json").write_text(json.dumps({EVIL: {EVIL: EVIL}, "date": EVIL}))
    (own_run / "data.json").write_text(json.dumps({"train": [EVIL], "notes": [EVIL], "skipped": [{"path": EVIL}]}))
    (own_run / "trials.jsonl").write_text((own_run / "trials.jsonl").read_text().replace("search-1", "<b>x</b>"))
    (own_run / "models" / "medium").rename(own_run / "models" / f"{name}0")
    (own_run / "models" / f"{name}0" / "<i>.txt").write_text("")
    page = report(own_run)
    assert page.misplaced == [] and page.open == []
    assert len(page.all("script")) == len(page.all("style")) == len(page.all("title")) == 1
    assert page.all("img") == [] and page.all("i") == []
    assert [name for _, attributes in page.elements for name in attributes if name.startswith("on")] == []
    assert page.said().count("alert(1)") > 10, "it is shown, as the text that it is"


def test_names_that_are_no_text_are_shown_somehow(own_run: Path) -> None:
    (own_run / "data.json").write_text('{"train": ["caf\\udce9.png"]}')  # how Python reads a Latin-1 name on Linux
    assert "caf\\udce9.png" in report(own_run).said()


def test_a_file_name_cannot_lead_out_of_the_folder(own_run: Path, results: Results) -> None:
    secret = own_run.parent / "secret-after.png"
    Image.new("RGB", (200, 200)).save(secret)
    Image.new("RGB", (200, 200)).save(own_run.parent / "secret-before.png")
    example = PictureExample(picture="../../../../secret")
    models = (results.models[0].model_copy(update={"examples": (example,)}),)
    write_results(own_run, results.model_copy(update={"models": models}))
    (own_run / "models" / "medium" / "examples").mkdir()
    assert report(own_run).all("img") == []


@pytest.mark.parametrize(
    ("kept", "said", "unsaid"),
    [
        (("recipe.yaml",), "nothing has been measured yet", "Quality and cost"),
        (("recipe.yaml", "environment.json", "data.json", "plan.json"), "270 pictures", "The networks"),
        (("recipe.yaml", "trials.jsonl"), "Best of 300 networks so far", "The networks"),
        (("recipe.yaml", "trials.jsonl", "stages"), "Stage “final.large” is not finished.", "Use it by"),
    ],
)
def test_a_run_stopped_half_way_says_so(own_run: Path, kept: tuple[str, ...], said: str, unsaid: str) -> None:
    for path in own_run.iterdir():
        if path.name not in kept and path.is_file():
            path.unlink()
    if "stages" in kept:
        (own_run / "stages").mkdir()
        (own_run / "stages" / "supernet.json").write_text('{"done": true, "wall_minutes": 25.2}')
        (own_run / "stages" / "final.large.json").write_text('{"done": false, "wall_minutes": 3}')
    page = report(own_run)
    assert page.misplaced == [] and page.open == []
    assert said in page.said()
    assert unsaid not in page.said()
    assert "This run is not finished" in page.said()
    assert f"falconet resume runs/{own_run.name}" in page.said()
    links = {a["href"].removeprefix("#") for a in page.all("a") if a["href"].startswith("#")}
    assert links <= {attributes.get("id", "") for _, attributes in page.elements}


@pytest.mark.parametrize(
    "name", ["environment.json", "data.json", "plan.json", "results.json", "models/large/model.json"]
)
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe\x00"])
def test_a_broken_file_costs_its_own_part_only(own_run: Path, name: str, content: bytes) -> None:
    (own_run / name).write_bytes(content)
    said = report(own_run).said()
    assert "paths: sandwich" in said
    if content:
        assert "What could not be read" in said
        assert Path(name).name in said


def test_torn_and_foreign_lines_of_the_log_are_counted(own_run: Path) -> None:
    log = own_run / "trials.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([*lines[:50], "not json\n", '{"search": 1}\n', *lines[50:60], lines[60][:40]]))
    run = read_run(own_run)
    assert len(run.trials) == 60
    assert run.problems == ("2 of 62 lines of trials.jsonl could not be read",)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        write_report(tmp_path)
    with pytest.raises(UserError, match="there is no folder"):
        write_report(tmp_path / "nowhere")


def test_writing_it_again_changes_nothing(own_run: Path) -> None:
    first = write_report(own_run).read_bytes()
    assert write_report(own_run).read_bytes() == first
    assert read_results(own_run).models[0].name == "medium"


def example_files(folder: Path, size: tuple[int, int], after: tuple[int, int] | None = None) -> Picture:
    paths = {kind: folder / f"p-{kind}.png" for kind in ("before", "after")}
    Image.new("RGB", size, "red").save(paths["before"])
    Image.new("RGB", after or size, "blue").save(paths["after"])
    return Picture(PictureExample(picture="p"), paths)


def test_a_large_picture_is_shown_by_its_middle(tmp_path: Path) -> None:
    shown = embed(example_files(tmp_path, (MAX_SIDE + 400, 300)))
    assert (shown.width, shown.height, shown.cropped) == (MAX_SIDE, 300, True)
    assert set(shown.images) == {"before", "after"}


def test_a_tiny_picture_has_no_close_up(tmp_path: Path) -> None:
    shown = embed(example_files(tmp_path, (1, 1)))
    assert (shown.width, shown.patch) == (1, None)


def test_pictures_of_unequal_size_or_no_picture_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="differ in size"):
        embed(example_files(tmp_path, (60, 40), (61, 40)))
    picture = example_files(tmp_path, (60, 40))
    picture.files["after"].write_bytes(picture.files["after"].read_bytes()[:60])
    with pytest.raises(ValueError, match=r"p-after\.png is not a picture"):
        embed(picture)


def test_a_picture_that_cannot_be_read_is_named_and_the_others_shown(own_run: Path, results: Results) -> None:
    folder = own_run / "models" / "medium" / "examples"
    folder.mkdir()
    for name in ("chelsea", "coffee"):
        for kind in ("before", "after"):
            Image.new("RGB", (90, 60)).save(folder / f"{name}-{kind}.png")
    (folder / "chelsea-after.png").write_text("no picture")
    page = report(own_run)
    assert len(page.all("img")) == 2
    assert "models/medium/examples: chelsea-after.png is not a picture that can be read" in page.said()


def test_the_close_up_lies_where_before_and_after_differ_most() -> None:
    before = np.zeros((200, 300), np.float32)
    after = before.copy()
    after[100 : 100 + PATCH[1], 60 : 60 + PATCH[0]] = 9
    after[10:20, 200:210] = 30
    assert most_different(before, after) == (60, 100)
