"""Settings: where they come from, and what is said of a wrong one."""

import os
from pathlib import Path
from typing import Any

import pytest

from fms.errors import Fatal
from fms.settings import Settings, SourceSettings, load_configuration, load_settings, user_data_dir
from fms.settings.loading import unknown_variables
from fms.settings.urls import masked

SECRET = "geheim"  # noqa: S105  # of nobody


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("FMS_")]:
        monkeypatch.delenv(name)


def refused(*arguments: Path, **flags: Any) -> str:
    """The one line that is said of wrong settings."""
    with pytest.raises(Fatal) as raised:
        load_settings(*arguments, **flags)
    assert "\n" not in str(raised.value)
    return str(raised.value)


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
        ("batch_size = 0", "setting batch_size ({}): Input should be greater than or equal to 1"),
        ('batch_size = "many"', "setting batch_size ({}): Input should be a valid integer"),
        ("batchsize = 5", "setting batchsize ({}): there is no such setting; batch_size is meant?"),
        ("colour = 5", "setting colour ({}): there is no such setting"),
        ('"a\\nb" = 5', "setting 'a\\nb' ({}): there is no such setting"),
        ("[sources.fx]\nnoise = 1", "setting sources.fx.noise ({}): there is no such setting; noise_bp is meant?"),
        ("[sources.fx]\nnoise_bp = -1", "setting sources.fx.noise_bp ({}): Input should be greater than"),
        ("sources = 3", "setting sources ({}): Input should be a valid dictionary"),
        ("batch_size = ", "{}: "),
        ('data = "elsewhere"', "setting data ({}): not in the data directory itself"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file_in_one_line(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "fms.toml").write_text(text)
    assert refused(tmp_path).startswith(named.format(tmp_path / "fms.toml"))


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("FMS_SHARDS", "none", "setting shards (FMS_SHARDS): Input should be a valid integer"),
        ("fms_shards", "none", "setting shards (fms_shards): Input should be a valid integer"),
        ("FMS_SOURCES__FX__NOISE", "1", "setting sources.fx.noise (FMS_SOURCES__FX__NOISE): there is no such setting"),
        ("FMS_SOURCES", '{"fx": {"noise_bp": -1}}', "setting sources.fx.noise_bp (FMS_SOURCES): Input should be"),
        ("FMS_SOURCES", "fx", "setting sources (FMS_SOURCES): not a table in JSON"),
    ],
)
def test_a_wrong_variable_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, named: str
) -> None:
    monkeypatch.setenv(name, value)
    assert refused(tmp_path).startswith(named)


def test_a_wrong_flag_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path, batchsize=3) == "setting batchsize (flag): there is no such setting; batch_size is meant?"


@pytest.mark.parametrize("name", ["broker_url", "catalog_url", "price_book_url"])
@pytest.mark.parametrize(
    "url",
    [
        f"http://me:{SECRET}@db.example/fms", f"me:{SECRET}@db.example", f"{{}}://me:{SECRET}/x@db.example/fms",
        f"{{}}://me:12/{SECRET}@db.example/fms", f"{{}}://me:12#{SECRET}@db.example", f"{{}}://me:[{SECRET}@db.example/",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_one_is_refused_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    scheme = {"broker_url": "amqp", "catalog_url": "postgresql", "price_book_url": "redis"}[name]
    monkeypatch.setenv(f"FMS_{name.upper()}", url.format(scheme))
    told = refused(tmp_path)
    assert told.startswith(f"setting {name} (FMS_{name.upper()}): ")
    assert SECRET not in told
    assert "me" not in told.replace(name, "").partition(": ")[2].split()


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("broker_url", "amqps://me:ge%2Fheim@[::1]:5671/%2F?heartbeat=5"),
        ("catalog_url", "postgres://me:${PASSWORD}@db.example/fms?sslmode=require"),
        ("catalog_url", "sqlite:///catalog.sqlite"),
        ("catalog_url", "${CATALOG}"),
        ("price_book_url", "unix:///run/redis.sock?db=3"),
        ("price_book_url", "rediss://:geheim@redis.example:6380/1"),
    ],
)
def test_urls_of_every_kind_are_taken_as_they_are(tmp_path: Path, name: str, url: str) -> None:
    found = load_settings(tmp_path, **{name: url})
    assert getattr(found, name).get_secret_value() == url
    assert url not in repr(found)


@pytest.mark.parametrize("name", ["broker_url", "catalog_url", "price_book_url"])
def test_an_empty_url_counts_as_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "fms.toml").write_text(f'{name} = ""\n')
    assert getattr(load_settings(tmp_path), name) is None
    (tmp_path / "fms.toml").write_text(f'{name} = "sqlite:///x"\n' if name == "catalog_url" else "")
    monkeypatch.setenv(f"FMS_{name.upper()}", "")
    configuration = load_configuration(tmp_path)
    assert (getattr(configuration.settings, name) is None) == (name != "catalog_url")
    assert f"FMS_{name.upper()}" not in configuration.origins.values()


def test_a_named_file_is_read_instead_of_the_one_in_the_data_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fms.toml").write_text("batch_size = 1\nshards = 1\n")
    named = tmp_path / "etc" / "other.toml"
    named.parent.mkdir()
    named.write_text("batch_size = 2\n")
    monkeypatch.setenv("FMS_CONFIG", str(named))
    found = load_configuration(tmp_path)
    assert (found.settings.batch_size, found.settings.shards, found.file) == (2, 2, named)


def test_a_data_directory_in_a_named_file_counts_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = tmp_path / "other.toml"
    monkeypatch.setenv("FMS_CONFIG", str(named))
    named.write_text('data = "mine"\n')
    assert load_settings().data == tmp_path / "mine"
    named.write_text('data = "/srv/mine"\n')
    assert load_settings().data == Path("/srv/mine")
    assert load_settings(tmp_path).data == tmp_path


def test_a_named_file_has_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMS_CONFIG", str(tmp_path / "other.toml"))
    assert refused(tmp_path) == f"{tmp_path / 'other.toml'}: No such file or directory"


def test_every_value_knows_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "fms.toml"
    file.write_text("shards = 1\nbatch_size = 1\n[sources.fx]\nnoise_bp = 1\nbelieve_days = 1\n")
    monkeypatch.setenv("FMS_BATCH_SIZE", "2")
    monkeypatch.setenv("FMS_SOURCES__FX__NOISE_BP", "2")
    monkeypatch.setenv("FMS_LOG_FORMAT", "json")
    rows = {name: (value, origin) for name, value, origin in load_configuration(tmp_path, log_format="text").rows()}
    assert rows["data"] == (str(tmp_path), "flag")
    assert rows["log_format"] == ("text", "flag")
    assert rows["batch_size"] == (2, "FMS_BATCH_SIZE")
    assert rows["shards"] == (1, str(file))
    assert rows["believe_days"] == (3, "default")
    assert rows["sources.fx.noise_bp"] == (2, "FMS_SOURCES__FX__NOISE_BP")
    assert rows["sources.fx.believe_days"] == (1, str(file))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"amqp://me:{SECRET}@host:5672/vhost", "amqp://me:***@host:5672/vhost"),
        (f"redis://:{SECRET}@host/1", "redis://:***@host/1"),
        (f"redis://host/1?password={SECRET}&db=2", "redis://host/1?password=***&db=2"),
        (f"postgresql://me:{SECRET}@host/fms?sslpassword={SECRET}", "postgresql://me:***@host/fms?sslpassword=***"),
        (f"postgresql://me:a:b@{SECRET}@host/fms", "postgresql://me:***@host/fms"),
        ("postgresql://me:${NAME}@host/fms", "postgresql://me:${NAME}@host/fms"),
        (f"postgresql://me:${{NAME}}@{SECRET}@host/fms", "postgresql://me:***@host/fms"),
        ("postgresql://me@host/fms", "postgresql://me@host/fms"),
        ("sqlite:///a:b@c", "sqlite:///a:b@c"),
    ],
)
def test_a_url_is_shown_without_what_is_secret_in_it(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_variables_that_look_like_settings_and_are_none_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FMS_BROKER_URI", "fms_shard", "FMS_SHARDS", "FMS_SOURCES__FX__NOISE_BP", "FMS_CONFIG"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("FMS_DB_PASSWORD", "1")
    assert unknown_variables() == ["FMS_BROKER_URI", "fms_shard"]


def test_a_catalog_that_is_empty_text_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMS_CATALOG_URL", "")
    assert load_settings(tmp_path).catalog() is None
    monkeypatch.setenv("FMS_CATALOG_URL", "postgresql://me:geheim@db.example/fms")
    assert load_settings(tmp_path).catalog() == "postgresql://me:geheim@db.example/fms"
    assert "geheim" not in repr(load_settings(tmp_path))


def test_every_setting_says_what_it_does() -> None:
    fields = {**Settings.model_fields, **SourceSettings.model_fields}
    assert all(field.description for field in fields.values())
