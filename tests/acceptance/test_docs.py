"""The documentation is true: what it shows is run, what it lists is complete, and its links lead somewhere."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from fms.metrics import Metrics
from fms.model.alert_document import FIELDS as ALERT_FIELDS
from fms.model.document import FIELDS, REASONS
from fms.queues.topology import QueueRules, topology
from fms.settings import Settings, SourceSettings
from fms.sources.mapping import parse_mapping
from fms_cli.app import EXIT_CODES, app
from tests.acceptance.pages import (
    NOT_RUN,
    ROOT,
    SERVERS,
    Reader,
    all_pages,
    anchors,
    blocks,
    commands,
    is_as_shown,
    links,
    text_of,
)
from tests.services.postgres import Databases
from tests.services.processes import program
from tests.services.shared import needed

PAGES = all_pages()
FOLLOWED = [page for page in PAGES if any(not one.with_servers for one in blocks(page, "console", "python"))]
WITH_SERVERS = [page for page in PAGES if any(one.with_servers for one in blocks(page))]
DECISIONS = [page for page in PAGES if page.parent.name == "decisions"]

pages = pytest.mark.parametrize("page", PAGES, ids=str)


def table(page: str, heading: str) -> list[list[str]]:
    """The rows of the tables under a heading, cell by cell, without their heads."""
    section = re.split(r"^#+ ", text_of(page), flags=re.MULTILINE)
    (body,) = [part for part in section if part.startswith(heading + "\n")]
    rows = [line.strip("|").split(" | ") for line in body.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("page", FOLLOWED, ids=str)
def test_what_a_page_shows_is_what_comes_out(page: Path, tmp_path: Path) -> None:
    if "$ curl " in text_of(page):
        needed(lambda: program("curl"))
    followed = 0
    with Reader(tmp_path) as reader:
        for ran, shown, output in reader.follow(page):
            assert is_as_shown(shown, output), f"{ran}\n{output}"
            followed += 1
    assert followed


@pytest.mark.parametrize("page", WITH_SERVERS, ids=str)
def test_what_a_page_shows_with_servers_is_what_comes_out(
    page: Path, tmp_path: Path, broker_url: str, redis_url: str, postgres: Databases
) -> None:
    urls = [broker_url, redis_url, postgres.new_database(), postgres.new_database()]
    followed = 0
    with Reader(tmp_path, dict(zip(SERVERS, urls, strict=True))) as reader:
        for ran, shown, output in reader.follow(page):
            assert is_as_shown(shown, output), f"{ran}\n{output}"
            followed += 1
    assert followed


def test_the_pages_that_everybody_reads_are_followed() -> None:
    assert {"README.md", "docs/quickstart.md", "docs/fare-document.md", "docs/library.md"} <= set(map(str, FOLLOWED))
    assert list(map(str, WITH_SERVERS)) == ["README.md", "docs/workers.md"]


def test_only_what_is_run_elsewhere_is_not_run() -> None:
    shown = {command.line for page in FOLLOWED for block in blocks(page, "console") for command in commands(block)}
    assert set(NOT_RUN) <= shown
    assert len(shown) > len(NOT_RUN) + 8


@pages
def test_json_blocks_are_json(page: Path) -> None:
    for block in blocks(page, "json"):
        assert [json.loads(line) for line in block.text.splitlines()]


@pages
def test_toml_blocks_are_settings_or_mappings(page: Path) -> None:
    for block in blocks(page, "toml"):
        document = tomllib.loads(block.text)
        assert parse_mapping(document).columns if "columns" in document else Settings(**document)


@pages
def test_every_block_has_a_known_language(page: Path) -> None:
    known = {"console", "python", "json", "toml", "csv", "text", ""}
    assert {block.language for block in blocks(page)} <= known


@pages
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.resolve().relative_to(ROOT)), link


def test_every_page_of_the_docs_is_in_the_index() -> None:
    index = Path("docs/index.md")
    there = {(ROOT / "docs" / link.partition("#")[0]).resolve().relative_to(ROOT) for link in links(index)}
    assert {page for page in PAGES if page.parts[0] == "docs"} - {index} <= there


@pages
def test_a_page_names_no_place_of_one_machine(page: Path) -> None:
    assert not re.search(r"/(?:home|root|work|tmp|Users)/", text_of(page))


def test_the_generated_pages_are_what_the_code_says() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "fms_cli.reference", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, inner in getattr(command, "commands", {}).items():
        yield f"{path} {name}", inner
        yield from leaves(inner, f"{path} {name}")


COMMANDS = list(leaves(get_command(app), "fms"))


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_every_command_and_option_is_documented_and_has_help(path: str, command: Any) -> None:
    assert command.help
    if hasattr(command, "commands"):
        return
    (section,) = [part for part in text_of("docs/cli.md").split("\n## ") if part.startswith(f"`{path}`\n")]
    for parameter in command.params:
        assert parameter.help, parameter.name
        for option in parameter.opts if parameter.param_type_name == "option" else ():
            assert re.search(rf"`[^`\n]*(?<![\w-]){option}(?![\w-])", section), option


def test_every_exit_code_is_documented() -> None:
    section = text_of("docs/cli.md").partition("## Exit codes")[2]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)] == list(EXIT_CODES)


@pytest.mark.parametrize("model", [Settings, SourceSettings])
def test_every_setting_is_documented_and_has_a_description(model: type[Settings | SourceSettings]) -> None:
    page = text_of("docs/settings.md")
    prefix = "sources.NAME." if model is SourceSettings else ""
    for name, field in model.model_fields.items():
        assert field.description, name
        assert f"| `{prefix}{name}` |" in page


def test_every_metric_is_documented() -> None:
    documented = [name for row in table("docs/workers.md", "Metrics") for name in named(row[0])]
    families = Metrics("price").registry.collect()
    assert sorted(documented) == sorted(one.name + "_total" * (one.type == "counter") for one in families)


def test_every_queue_is_documented() -> None:
    documented = [name for row in table("docs/workers.md", "Queues") for name in named(row[0])]
    # Delays are as many seconds, partitions from 00 to 15.
    names = {re.sub(r"(?<!delay)\.\d\d$", ".NN", one.name) for one in topology(QueueRules())}
    assert sorted(documented) == sorted(names)


def test_every_reason_is_documented_in_the_order_of_the_checks() -> None:
    documented = [(named(reason)[0], meaning) for reason, meaning in table("docs/fare-document.md", "Rejects")]
    assert documented == list(REASONS.items())


def test_every_field_of_a_fare_is_documented() -> None:
    documented = [name for row in table("docs/fare-document.md", "Fields") for name in named(row[0])]
    assert sorted(documented) == sorted(FIELDS)


def test_every_field_of_an_alert_is_documented() -> None:
    documented = [name for row in table("docs/quickstart.md", "Your own alerts") for name in named(row[0])]
    assert sorted(documented) == sorted(ALERT_FIELDS)


@pytest.mark.parametrize("page", DECISIONS, ids=str)
def test_a_decision_says_its_question_and_why(page: Path) -> None:
    text = text_of(page)
    assert text.startswith(f"# {int(page.name[:4])}. ")
    places = [text.find(f"\n**{part}.**") for part in ("Question", "Decision", "Why")]
    assert -1 < places[0] < places[1] < places[2]


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_the_wildcard_stands_for_any_lines_and_any_rest() -> None:
    assert is_as_shown(["a", "…", "in … s"], "a\nb\nc\nin 0.1 s\n")
    assert is_as_shown(["a", "…"], "a\n")
    assert not is_as_shown(["a", "b"], "a\nb\nc\n")
    assert not is_as_shown(["a 1"], "a 2\n")
