#!/usr/bin/env python3
"""Runs real servers and clients of `metalbond` under churn, kills and hostile peers: `tests/soak.py --minutes 60`. What
happens, and what has to hold, is said in soak/__init__.py. The exit code is 0 if all of it held."""

import sys

sys.dont_write_bytecode = True

from soak.run import main  # the package beside this file

if __name__ == "__main__":
    sys.exit(main())
