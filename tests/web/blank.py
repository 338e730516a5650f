"""New sites of files, quickly: one is made and migrated once, and copied for every test."""

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from fms.bootstrap import open_site


def put_blank_site(folder: Path) -> None:
    """Have a new site in a folder, unless there is one."""
    if not folder.exists() or not any(folder.iterdir()):
        shutil.copytree(_blank(), folder, dirs_exist_ok=True)


@cache
def _blank() -> Path:
    folder = Path(mkdtemp(prefix="fms-blank-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    open_site(folder).close()
    return folder
