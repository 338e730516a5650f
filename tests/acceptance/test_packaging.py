"""What is shipped: the wheel works without the checkout, and the commands that a fresh machine is given exist."""

import gzip
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fms import demo

ROOT = Path(__file__).resolve().parents[2]


def called(command: Sequence[str | Path], cwd: Path, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="hatchling builds the wheel: install the test extra")
    out = tmp_path_factory.mktemp("wheel")
    called([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out], ROOT)
    (built,) = out.glob("*.whl")
    return built


class Installed:
    """An environment that holds the wheel, and what it depends on by way of the running one."""

    def __init__(self, wheel: Path, home: Path) -> None:
        self.home = home
        self.bin = home / "venv" / "bin"
        called([sys.executable, "-m", "venv", "--without-pip", home / "venv"], home)
        site = Path(self.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        # a plain path in a .pth does not run the .pth files behind it: the editable checkout stays out
        (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        install: list[str | Path] = ["install", "-qq", "--no-deps", "--no-index", "--ignore-installed", wheel]
        called([sys.executable, "-m", "pip", "--python", self.bin / "python", *install], home)

    def run(self, command: str, *arguments: str) -> str:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "FMS_DATA": str(self.home / "data"),
            "LANG": "C.UTF-8",
        }
        return called([self.bin / command, *arguments], self.home, env)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(wheel, tmp_path_factory.mktemp("installed"))


def test_the_wheel_holds_the_migrations_and_the_sample(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"fms/demo/fares.jsonl.gz", "fms/demo/alerts.jsonl", "fms/py.typed", "fms_cli/app.py"} <= set(names)
    shipped = {name.removeprefix("fms/_alembic/") for name in names if name.startswith("fms/_alembic/")}
    there = {str(path.relative_to(ROOT / "alembic")) for path in (ROOT / "alembic").rglob("*.py")}
    assert there
    assert there <= shipped


def test_the_wheel_holds_no_tests_and_no_caches(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert not [
        name for name in names if "__pycache__" in name or not re.match(r"fms(_cli)?/|fms-.*\.dist-info/", name)
    ]


def test_the_installed_package_is_the_one_of_the_wheel(installed: Installed) -> None:
    where = installed.run("python", "-c", "import fms; print(fms.__file__)")
    assert Path(where).is_relative_to(installed.home)


def test_an_installed_fms_tells_its_version(installed: Installed) -> None:
    assert importlib.metadata.version("fms") in installed.run("fms", "--version")


def test_an_installed_fms_migrates_its_own_databases(installed: Installed) -> None:
    data = installed.home / "migrated"
    installed.run("fms", "db", "upgrade", "--data", str(data))
    assert [path for path in data.rglob("*") if path.is_file()]


def test_an_installed_fms_shows_the_demo(installed: Installed) -> None:
    shown = installed.run("fms", "demo")
    assert "london-before-christmas" in shown
    assert "sapporo-snow-festival" in shown


@pytest.fixture(scope="module")
def replayed(installed: Installed) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The counts of a run of the sample, and the notifications that it left."""
    data = ("--data", str(installed.home / "replayed"), "--json")
    sample = ("--replay", str(demo.fares()), "--alerts", str(demo.alerts()))
    counts = json.loads(installed.run("fms", "run", *sample, *data).splitlines()[-1])
    return counts, [json.loads(line) for line in installed.run("fms", "notifications", "list", *data).splitlines()]


def test_the_sample_holds_every_fate_of_a_document(replayed: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    counts, _ = replayed
    expected = {"documents": 3368, "accepted": 3360, "rejected": 8, "duplicates": 5, "late": 6}
    expected |= {"unchanged": 2831, "first_seen": 210, "moved": 308, "gone": 1}
    assert {name: counts[name] for name in expected} == expected
    assert sum(counts["rejected_by_reason"].values()) == 8


def test_the_sample_tells_its_stories(replayed: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    _, rows = replayed
    assert [(row["ref"], row["price_minor"], row["old_price_minor"], row["status"]) for row in rows] == [
        ("porto-under-25", 2299, None, "sent"),  # below the target at first sight
        ("sapporo-snow-festival", 8900, None, "superseded"),  # sold out later, so that 8700 is news again
        ("tokyo-in-bloom", 86900, 92900, "superseded"),
        ("london-before-christmas", 31900, 38900, "superseded"),
        ("london-lying-flat", 1200, 289000, "gone"),  # a mistake, corrected after two hours
        ("tokyo-in-bloom", 81900, 86900, "sent"),
        ("bergamo-weekend", 2499, 3999, "sent"),
        ("porto-15-off", 499, 2999, "sent"),
        ("london-before-christmas", 28900, 31900, "sent"),
        ("sapporo-snow-festival", 8700, 10900, "sent"),
    ]
    assert [row["ref"] for row in rows if row["unusual"]] == ["london-lying-flat", "porto-15-off"]


def test_the_sample_is_what_its_generator_makes(tmp_path: Path) -> None:
    generator = ROOT / "benchmarks" / "make_demo.py"
    for name in ("one", "two"):
        called([sys.executable, generator, "--out", tmp_path / name], tmp_path)
    one, two = tmp_path / "one", tmp_path / "two"
    assert (one / "fares.jsonl.gz").read_bytes() == (two / "fares.jsonl.gz").read_bytes()
    assert (one / "alerts.jsonl").read_bytes() == demo.alerts().read_bytes()
    # another zlib may pack the same lines into other bytes
    assert gzip.decompress((one / "fares.jsonl.gz").read_bytes()) == gzip.decompress(demo.fares().read_bytes())


def test_another_seed_makes_another_sample(tmp_path: Path) -> None:
    called([sys.executable, ROOT / "benchmarks" / "make_demo.py", "--seed", "7", "--out", tmp_path], tmp_path)
    assert gzip.decompress((tmp_path / "fares.jsonl.gz").read_bytes()) != gzip.decompress(demo.fares().read_bytes())


def test_the_bundled_sample_is_small_and_holds_no_time_of_packing() -> None:
    packed = demo.fares().read_bytes()
    assert len(packed) <= 60_000
    assert packed[4:8] == bytes(4)


@pytest.mark.parametrize("cycle", ["1", "2"])
def test_the_workload_has_the_same_bytes_for_the_same_seed(tmp_path: Path, cycle: str) -> None:
    feed: list[str | Path] = [sys.executable, ROOT / "benchmarks" / "feed.py", "--docs", "3000", "--cycle", cycle]
    for name in ("one", "two"):
        called([*feed, "--out", tmp_path / name, "--alerts", tmp_path / f"{name}.alerts"], tmp_path)
    one = (tmp_path / "one").read_bytes()
    assert one == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one.alerts").read_bytes() == (tmp_path / "two.alerts").read_bytes()
    assert one.count(b"\n") == 3000


def test_a_shuffled_workload_holds_the_same_documents(tmp_path: Path) -> None:
    feed: list[str | Path] = [sys.executable, ROOT / "benchmarks" / "feed.py", "--docs", "3000"]
    called([*feed, "--out", tmp_path / "plain"], tmp_path)
    called([*feed, "--shuffled", "--out", tmp_path / "shuffled"], tmp_path)
    plain, shuffled = (tmp_path / "plain").read_bytes(), (tmp_path / "shuffled").read_bytes()
    assert plain != shuffled
    assert sorted(plain.splitlines()) == sorted(shuffled.splitlines())


def test_make_lists_its_targets_when_asked_for_nothing() -> None:
    listed = called(["make", "-s"], ROOT)
    for target in ("demo", "test", "soak", "lint", "docs", "bench", "bench-stages", "clean"):
        assert f"make {target} " in listed


def test_every_listed_target_has_a_recipe() -> None:
    for target in ("demo", "test", "soak", "lint", "docs", "bench", "bench-stages", "clean"):
        assert called(["make", "-n", target], ROOT)


def test_ci_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").splitlines()[-1] == "exec make test"


def test_tox_runs_lint_types_imports_and_the_tests() -> None:
    settings = (ROOT / "tox.ini").read_text(encoding="utf-8")
    assert "env_list = lint, types, imports, py\n" in settings
    for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports", "pytest"):
        assert tool in settings


def test_the_alembic_folder_is_no_package() -> None:
    assert (ROOT / "alembic").is_dir()
    assert not list((ROOT / "alembic").rglob("__init__.py"))


def test_uncovered_lines_fail_the_tests() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["tool"]["coverage"]["report"]["fail_under"] >= 90
