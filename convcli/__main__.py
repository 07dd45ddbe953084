"""``python -m convcli``."""

import sys

from convcli.cli.main import main

sys.exit(main())
