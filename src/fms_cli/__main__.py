"""``python -m fms_cli``."""

import sys

from fms_cli.app import main

sys.exit(main())
