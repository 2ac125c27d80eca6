"""`python -m bridge.cli`: the command without the console script."""

import sys

from . import main

sys.exit(main())
