"""Rules about the source text itself, which no linter that we use knows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixio_edge import errors

ROOT = Path(__file__).parents[2]
PACKAGES = ("pixio_edge", "export", "runtimes", "calibration")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TORCH_FOLDERS = ("pixio_edge/models", "pixio_edge/training", "export")
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40

# All but the one that writes its own message.
ERRORS = {
    name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.PixioEdgeError)
} - {"MissingDependencyError"}

# Optional libraries other than torch are imported in exactly one file each, so that what needs them is plain to see.
HOMES = {
    "accelerate": {"pixio_edge/training/processes.py"},
    "openvino": {"runtimes/ov_library.py"},
    # The export and the runtime are in layers that do not import each other.
    # The compiler alone needs no driver.
    "cuda": {"pixio_edge/kernels/compile.py", "pixio_edge/kernels/devices.py"},
    "coremltools": {"export/coreml/library.py", "runtimes/coreml_model.py"},
    "PIL": {"runtimes/coreml_model.py"},
    "tensorrt": {"runtimes/trt_library.py"},
    "tensorrt_rtx": {"runtimes/trt_library.py"},
    "h5py": {"pixio_edge/evaluation/nyu.py"},
    "scipy": {"pixio_edge/evaluation/nyu.py"},
    "matplotlib": {"pixio_edge/training/curve.py", "calibration/pareto_plot.py", "calibration/plots.py"},
    "numba": {"pixio_edge/scenes/drawing/jit.py"},
    "safetensors": {"pixio_edge/models/checkpoint_files.py"},
    "huggingface_hub": {"pixio_edge/weights/hub.py"},
    # For tests and benchmarks alone.
    "psutil": set(),
    "transformers": set(),
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.AST) -> Iterator[str]:
    """Top-level package names of every import statement, lazy ones included, type-checking ones excluded."""
    skipped = {id(node) for block in ast.walk(tree) if is_type_checking(block) for node in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value.partition(".")[0]


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the end: signatures and docstrings are not complexity."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_source_file_stays_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)

    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {function.name: body_lines(function) for function in functions if body_lines(function) > MAX_FUNCTION_LINES}

    assert len(text.splitlines()) <= MAX_FILE_LINES
    assert not long


def test_sources_are_found_in_every_package() -> None:
    assert {name_of(path).partition("/")[0] for path in SOURCES} == set(PACKAGES)


def test_torch_is_imported_only_where_models_are_made() -> None:
    importing = {name_of(path) for path in SOURCES if "torch" in imports(ast.parse(path.read_text(encoding="utf-8")))}

    outside = {name for name in importing if not name.startswith(TORCH_FOLDERS)}

    assert importing
    kernels = {f"pixio_edge/kernels/{name}.py" for name in ("ops", "ops_cuda", "reference_torch")}
    assert outside <= {"runtimes/pytorch.py"} | kernels


@pytest.mark.parametrize(("library", "homes"), HOMES.items(), ids=HOMES.keys())
def test_optional_library_is_imported_in_one_file(library: str, homes: set[str]) -> None:
    importing = {name_of(path) for path in SOURCES if library in imports(ast.parse(path.read_text(encoding="utf-8")))}

    assert importing == homes


def test_environment_is_read_only_by_env() -> None:
    reading = {
        name_of(path)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    }

    assert reading == {"pixio_edge/env.py"}


def test_module_names_say_what_they_hold() -> None:
    vague = {"utils", "util", "helpers", "manager", "common", "misc"}

    assert {path.stem for path in SOURCES}.isdisjoint(vague)


def messages_without_fix(tree: ast.AST) -> list[str]:
    """Errors of ours that are made with a message which neither says the fix nor ends with a text that does."""
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ERRORS and node.args
        if isinstance(node.args[0], ast.Constant | ast.JoinedStr) and not says_fix(node.args[0])
    ]


def says_fix(message: ast.Constant | ast.JoinedStr) -> bool:
    last = message.values[-1] if isinstance(message, ast.JoinedStr) and message.values else message
    is_passed_on = isinstance(last, ast.FormattedValue) and ast.unparse(last.value) in {"error", "fix"}
    return is_passed_on or any(
        isinstance(part, ast.Constant) and "Fix: " in str(part.value) for part in ast.walk(message)
    )


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_error_says_how_to_fix_it(path: Path) -> None:
    assert messages_without_fix(ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("code", "is_fine"),
    [
        ("InputError('bad. Fix: this')", True),
        ("InputError(f'{path}: bad. Fix: this')", True),
        ("InputError(f'{path}: {error}')", True),
        ("InputError(f'bad. {fix}')", True),
        ("InputError(explain(rejected))", True),
        ("InputError('bad')", False),
        ("InputError(f'{error} in {path}')", False),
        ("TypeError('a defect of ours')", True),
    ],
)
def test_fixes_are_looked_for_in_the_right_place(code: str, is_fine: bool) -> None:
    assert (messages_without_fix(ast.parse(code)) == []) is is_fine
