"""The house rules that a machine can check, and the promise that `import falconet` is quick."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import falconet

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src" / "falconet").rglob("*.py"))
WITHOUT_TORCH = (
    "falconet",
    "falconet.cli",
    "falconet.zoo",
    "falconet.spaces",
    "falconet.search",
    "falconet.evaluate.score",
)
TEXT = {".cfg", ".css", ".html", ".ini", ".js", ".json", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml", ""}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")
A_MACHINE = re.compile(
    r"(?<![\w.~/-])/(home|root|Users|work|mnt|tmp)/\w"
)  # a path that means something on one computer only
MAX_LINES = 400
MAX_FUNCTION_LINES = 50


def in_repository(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def texts() -> list[Path]:
    """Every text file under version control, this one aside: it has to name what it looks for."""
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("needs a git checkout")
    paths = (ROOT / name for name in listing.stdout.splitlines())
    return [path for path in paths if path.suffix in TEXT and path.is_file() and path != Path(__file__)]


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_importing_needs_no_torch(module: str) -> None:
    assert run_python(f"import sys, {module}; print('torch' in sys.modules)") == "False\n"


def test_import_is_quick() -> None:
    # Processor time, so that a busy machine does not decide; the best of three, for a cold disk cache.
    code = "import time; started = time.process_time(); import falconet; print(time.process_time() - started)"
    assert min(float(run_python(code)) for _ in range(3)) < 0.1


def test_version_is_the_installed_one() -> None:
    assert falconet.__version__ == importlib.metadata.version("falconet")


@pytest.mark.parametrize("name", sorted(falconet._WHERE))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(falconet, name) is not None
    assert name in dir(falconet)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(falconet.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == falconet._WHERE


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Netspec'"):
        falconet.Netspec  # noqa: B018


@pytest.mark.parametrize("path", SOURCES, ids=in_repository)
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_LINES, "which part wants a file of its own?"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            num_lines = (node.end_lineno or first.lineno) - first.lineno + 1
            assert num_lines <= MAX_FUNCTION_LINES, f"{node.name} has {num_lines} lines"


def test_nothing_is_left_unfinished() -> None:
    found = [in_repository(path) for path in SOURCES if UNFINISHED.search(path.read_text(encoding="utf-8"))]
    assert not found


def test_no_text_names_a_place_on_one_machine() -> None:
    found = [in_repository(path) for path in texts() if A_MACHINE.search(path.read_text(encoding="utf-8"))]
    assert not found
