"""Fake providers in a process of their own: ``python -m fms.testing`` plays until its input ends.

The first line is the URL, the second the file with the authority's certificate. All is answered with 200, and counted:
the last line, after the end of the input, is how many requests came.
"""

import sys

from fms.testing.providers import Providers


def main() -> None:
    """Play."""
    with Providers(record=False) as providers:
        sys.stdout.write(f"{providers.url('/')}\n{providers.ca_file}\n")
        sys.stdout.flush()
        sys.stdin.read()
        sys.stdout.write(f"{providers.sends()}\n")


if __name__ == "__main__":
    main()
