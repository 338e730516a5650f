"""``fms config`` and ``fms --config``, as somebody types them."""

import os
from pathlib import Path

import pytest

from tests.acceptance.commands import fms, fms_process, refused

URLS = {
    "FMS_BROKER_URL": "amqp://me:geheim@127.0.0.1:1/fms",
    "FMS_CATALOG_URL": "postgresql://me:geheim@127.0.0.1:1/fms",
    "FMS_PRICE_BOOK_URL": "redis://me:geheim@127.0.0.1:1/0",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands are typed; ``d`` is the data directory."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("FMS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FMS_DATA", "d")
    (tmp_path / "other.toml").write_text('batch_size = 7\ndata = "e"\n')
    return tmp_path


def test_every_setting_is_shown_with_its_origin_and_without_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in URLS.items():
        monkeypatch.setenv(name, value)
    rows = {row["setting"]: row for row in fms("config", "show", "--json").checked().lines}
    assert rows["broker_url"] == {
        "setting": "broker_url", "value": "amqp://me:***@127.0.0.1:1/fms", "origin": "FMS_BROKER_URL",
    }  # fmt: skip
    assert rows["metrics_port"] == {"setting": "metrics_port", "value": None, "origin": "default"}
    shown = fms("config", "show", "--data", "x").checked().out
    assert shown.splitlines()[0].split() == ["setting", "value", "origin"]
    assert shown.splitlines()[1].split() == ["data", "x", "flag"]
    assert "geheim" not in shown + str(rows)


def test_settings_that_can_be_used_are_said_to_be_so(folder: Path) -> None:
    assert fms("config", "check").checked().out == (
        "ok: 0 from d/fms.toml, which is not there; 1 from the environment, 0 from flags\n"
    )
    report = fms("--config", "other.toml", "config", "check", "--data", "d", "--json").checked().report
    assert report == {"file": "other.toml", "from_file": 1, "from_environment": 0, "from_flags": 1}


def test_settings_that_cannot_be_used_are_refused_by_every_command(folder: Path) -> None:
    (folder / "other.toml").write_text("batch_sise = 7\n")
    for command in ("config check", "config show", "alerts list"):
        told = refused(fms("--config", "other.toml", *command.split()), 4)
        assert told == "setting batch_sise (other.toml): there is no such setting; batch_size is meant?"


def test_a_named_file_counts_for_one_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def batch_size(*before: str) -> int:
        rows = fms(*before, "config", "show", "--json").checked().lines
        return next(int(row["value"]) for row in rows if row["setting"] == "batch_size")

    assert [batch_size(), batch_size("--config", "other.toml"), batch_size()] == [10_000, 7, 10_000]
    monkeypatch.setenv("FMS_CONFIG", "other.toml")
    (folder / "third.toml").write_text("batch_size = 8\n")
    assert [batch_size(), batch_size("--config", "third.toml"), batch_size()] == [7, 8, 7]


def test_a_named_file_that_is_not_there_is_a_wrong_option() -> None:
    assert "missing.toml" in refused(fms("--config", "missing.toml", "alerts", "list"))


def test_a_named_file_counts_for_the_processes_of_a_worker(folder: Path) -> None:
    (folder / "other.toml").write_text('data = "e"\nbroker_url = "amqp://me:geheim@127.0.0.1:1/fms?heartbeat=often"\n')
    command = ("worker", "price", "--processes", "2", "--once")
    done = fms_process("--config", folder / "other.toml", *command, env={"FMS_DATA": ""})
    assert done.code == 4
    assert "one of its options is wrong" in done.err
    assert "geheim" not in done.err
    assert (folder / "e").is_dir()
