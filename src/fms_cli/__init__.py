"""The command ``fms``: options → settings → site → stage → exit code. One file per group of commands."""
