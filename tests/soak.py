#!/usr/bin/env python3
"""Runs real servers and clients of `metalbond` with churn, kills and hostile peers: `tests/soak.py --minutes 60`.
soak/__init__.py describes the activity and the checks. The exit code is 0 if all checks passed."""

import sys

sys.dont_write_bytecode = True

from soak.run import main  # the package beside this file

if __name__ == "__main__":
    sys.exit(main())
