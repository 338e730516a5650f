"""``fms doctor``: whether everything that the site needs is there and set up as it must be."""


def doctor() -> None:
    """Check every service."""
