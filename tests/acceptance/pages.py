"""The pages of the documentation: their blocks, headings and links, and blocks as a reader would run them."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from tests.acceptance.commands import PATIENCE
from tests.services.processes import free_port

ROOT = Path(__file__).resolve().parents[2]

NOT_RUN = ("make demo", "make test", "pip install .")
"""Commands that are shown and run elsewhere: by CI, and by test_packaging."""

SERVERS = {
    "broker": "amqp://fms:secret@rabbit.example/fms",
    "price book": "redis://:secret@redis.example:6379/0",
    "database 1": "postgresql://fms:secret@db1.example/fms",
    "database 2": "postgresql://fms:secret@db2.example/fms",
}
"""The URLs of servers that pages show."""

SERVED = "127.0.0.1:8000"
"""Where pages have ``fms serve &`` listen."""

WRITTEN_FOR = 2027
"""The year of the dates in pages, which is past one day; an alert of the past is refused."""

_BLOCK = re.compile(
    r"(?:^<!-- ((?:file|future file): \S+|with servers) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_STATE = re.compile(r"\b(?:learning|armed|fired|expired)\b")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: of the block.
        text: in it.
        file: the name that the reader is told to save it under.
        future: whether the years in it are to be those to come.
        with_servers: whether it needs those of ``SERVERS``.
    """

    language: str
    text: str
    file: str | None = None
    with_servers: bool = False
    future: bool = False


@dataclass(frozen=True)
class Command:
    """A command of a console block, and the lines that the page shows as its output."""

    line: str
    shown: Sequence[str]


def all_pages() -> list[Path]:
    """Every page, by its path in the project."""
    return [path.relative_to(ROOT) for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("[de]*/**/*.md")])]


def text_of(page: Path | str) -> str:
    """The text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: Path, *languages: str) -> list[Block]:
    """The blocks of a page in order, of some languages or of all."""
    found = [
        Block(language, text, mark.partition("file: ")[2] or None, mark == "with servers", mark.startswith("future"))
        for mark, language, text in _BLOCK.findall(text_of(page))
    ]
    return [block for block in found if not languages or block.language in languages]


def anchors(page: Path) -> set[str]:
    """What a link can say after the ``#``."""
    headings = _HEADING.findall(_BLOCK.sub("", text_of(page)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    """The links of a page to other pages and files of the project."""
    return [link for link in _LINK.findall(_BLOCK.sub("", text_of(page))) if "://" not in link]


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        line, *shown = part.rstrip("\n").split("\n")
        yield Command(line, shown)


class Reader:
    """Somebody who follows a page in an empty directory, with an empty data directory; ``with`` ends what they start.

    Args:
        home: the directory.
        servers: real URLs instead of those of ``SERVERS``, by the same names. With them only the blocks that need them
            are followed, without them only the others.
    """

    def __init__(self, home: Path, servers: Mapping[str, str] | None = None) -> None:
        self._home = home
        (home / "examples").symlink_to(ROOT / "examples")
        kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self._port = free_port()
        self._env = kept | {
            "PATH": path,
            "HOME": str(home),
            "FMS_DATA": str(home / "data"),
            "LANG": "C.UTF-8",
            "FMS_SERVE_PORT": str(self._port),
            "FMS_UNREADY_SECONDS": "0",
        }
        self._servers = servers
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for process in self._started:
            process.terminate()
        for process in self._started:
            with process:
                process.wait(PATIENCE)

    def follow(self, page: Path) -> Iterator[tuple[str, Sequence[str], str]]:
        """Do what the page says; answers what was run, the lines shown in the page, and what came out."""
        found = blocks(page)
        for block, following in zip(found, [*found[1:], Block("", "")], strict=True):
            if block.file:
                text = block.text.replace(f"{WRITTEN_FOR}-", f"{_year_to_come()}-") if block.future else block.text
                (self._home / block.file).write_text(text, encoding="utf-8")
            elif block.with_servers != (self._servers is not None):
                continue
            elif block.language == "console":
                for command in commands(block):
                    if command.line not in NOT_RUN:
                        yield command.line, command.shown, self._typed(command)
            elif block.language == "python":
                shown = following.text.splitlines() if following.language == "text" else []
                yield block.text, shown, self._run([sys.executable, "-W", "error", "-c", block.text], shown)

    def _typed(self, command: Command) -> str:
        line = command.line.replace(SERVED, f"127.0.0.1:{self._port}")
        for name, url in (self._servers or {}).items():
            line = line.replace(SERVERS[name], url)
        if line.startswith("export "):
            name = line.removeprefix("export ").partition("=")[0]
            self._env[name] = self._run(["sh", "-c", f'{line}; printf %s "${name}"'], ())
            return ""
        stays = line.endswith(" &")
        output = self._begun(line.removesuffix(" &")) if stays else self._run(["sh", "-c", line], command.shown)
        return output.replace(f"127.0.0.1:{self._port}", SERVED)

    def _begun(self, line: str) -> str:
        """Start what stays; answers the first line that it prints."""
        with (self._home / "stays.log").open("wb") as log:
            command = ["sh", "-c", f"exec {line}"]
            process = subprocess.Popen(command, cwd=self._home, env=self._env, stdout=subprocess.PIPE, stderr=log)
        self._started.append(process)
        assert process.stdout is not None
        return process.stdout.readline().decode()

    def _run(self, command: Sequence[str], shown: Sequence[str]) -> str:
        done = subprocess.run(
            command, cwd=self._home, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        output = done.stdout.decode()
        # A command may fail where the page shows that it does.
        expected_to_fail = bool(shown) and shown[0].startswith("fms: ")
        assert (done.returncode != 0) == expected_to_fail, f"{command}: {done.returncode}\n{output}"
        return output


def _year_to_come() -> int:
    return max(WRITTEN_FOR, datetime.now(UTC).year + 1)


def is_as_shown(shown: Sequence[str], output: str) -> bool:
    """Whether output is as a page shows it: ``…`` is the rest of a line, or alone any lines; nothing shown: anything.

    An alert whose dates have passed is listed as expired; so its state is not compared, nor the width of columns, nor
    blank lines.
    """
    lines = "".join(f"{_plain(line)}\n" for line in output.splitlines() if line.strip())
    wanted = [line for line in shown if line.strip()]
    pattern = "".join(r"(?:.*\n)*?" if line.strip() == "…" else _line_pattern(line) + r"\n" for line in wanted)
    return not wanted or re.fullmatch(pattern, lines) is not None


def _line_pattern(line: str) -> str:
    return r".*".join(map(re.escape, _plain(line).split("…")))


def _plain(line: str) -> str:
    return " ".join(_STATE.sub("STATE", line).split())
