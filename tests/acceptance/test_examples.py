"""Every example runs as it is and prints what it says; the first four are as short as promised."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fms.sources.mapping import read_mapping

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
STAGES = ["01_ingest", "02_diff", "03_match", "04_notify"]

programs = pytest.mark.parametrize("program", PROGRAMS, ids=[path.stem for path in PROGRAMS])


def test_there_is_an_example_of_every_stage() -> None:
    assert [path.stem for path in PROGRAMS][: len(STAGES)] == STAGES


@programs
def test_an_example_prints_what_it_says(program: Path, tmp_path: Path) -> None:
    said = ast.get_docstring(ast.parse(program.read_text(encoding="utf-8"))) or ""
    expected = [line.removeprefix("    ") for line in said.partition("Prints::\n\n")[2].splitlines()]
    assert expected
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
    env = kept | {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    command = [sys.executable, "-W", "error", str(program)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == expected
    assert list(tmp_path.iterdir()) == []


@programs
def test_an_example_is_listed(program: Path) -> None:
    assert f"[{program.name}]({program.name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_needs_fewer_than_ten_statements_beside_imports(stage: str) -> None:
    tree = ast.parse((EXAMPLES / f"{stage}.py").read_text(encoding="utf-8"))
    imports = (ast.Import, ast.ImportFrom)
    strings = [node for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and not isinstance(node, imports)]
    assert 0 < len(statements) - len(strings) < 10


def test_the_ryanair_mapping_is_a_mapping() -> None:
    mapping = read_mapping(EXAMPLES / "ryanair.toml")
    assert mapping.name == "ryanair"
    assert mapping.columns["total_amount"].change("£ 19.99") == "19.99"
    assert mapping.columns["departure_time"].change("2026-12-05T07:35") == "07:35"
    assert mapping.constants == {"carrier": "FR"}
