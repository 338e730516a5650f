"""Settings: where they come from, and what is said of a wrong one."""

from pathlib import Path

import pytest

from fms.errors import Fatal
from fms.settings import Settings, SourceSettings, load_settings, user_data_dir


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FMS_{name.upper()}", raising=False)


def test_a_flag_counts_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fms.toml").write_text("batch_size = 1\nshards = 1\nbelieve_days = 1\n")
    monkeypatch.setenv("FMS_BATCH_SIZE", "2")
    monkeypatch.setenv("FMS_SHARDS", "2")
    found = load_settings(tmp_path, batch_size=3, shards=None)
    assert (found.batch_size, found.shards, found.believe_days) == (3, 2, 1)


def test_the_data_directory_comes_from_the_environment_or_is_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert load_settings().data == tmp_path / "fms" == user_data_dir()
    monkeypatch.setenv("FMS_DATA", str(tmp_path / "mine"))
    assert load_settings().data == tmp_path / "mine"


def test_a_source_has_its_own_rules_where_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "fms.toml").write_text("believe_days = 5\n[sources.fx]\nnoise_bp = 100\n")
    rules = load_settings(tmp_path).rules()
    assert (rules.of("fx").noise_bp, rules.of("fx").believe_days) == (100, 5)
    assert (rules.of("other").noise_bp, rules.of("other").believe_days) == (0, 5)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("batch_size = 0", "setting batch_size: "),
        ('batch_size = "many"', "setting batch_size: "),
        ("batchsize = 5", "setting batchsize: "),
        ("[sources.fx]\nnoise = 1", "setting sources.fx.noise: "),
        ("[sources.fx]\nnoise_bp = -1", "setting sources.fx.noise_bp: "),
        ("batch_size = ", "fms.toml: "),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "fms.toml").write_text(text)
    with pytest.raises(Fatal) as raised:
        load_settings(tmp_path)
    assert named in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_wrong_variable_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMS_SHARDS", "none")
    with pytest.raises(Fatal, match=r"^setting shards: "):
        load_settings(tmp_path)


def test_a_catalog_that_is_empty_text_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMS_CATALOG_URL", "")
    assert load_settings(tmp_path).catalog() is None
    monkeypatch.setenv("FMS_CATALOG_URL", "postgresql://me:geheim@db.example/fms")
    assert load_settings(tmp_path).catalog() == "postgresql://me:geheim@db.example/fms"
    assert "geheim" not in repr(load_settings(tmp_path))


def test_every_setting_says_what_it_does() -> None:
    fields = {**Settings.model_fields, **SourceSettings.model_fields}
    assert all(field.description for field in fields.values())
