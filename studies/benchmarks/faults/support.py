"""The tests' own helpers: servers of databases, and processes that are forked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
sys.path.append(str(ROOT / "tests" / "support"))

import fork_server  # noqa: E402  # now it is found
from calibrated import calibrated  # noqa: E402
from planted import again  # noqa: E402
from servers import Server, postgresql  # noqa: E402

__all__ = ["ROOT", "Server", "again", "calibrated", "fork_server", "postgresql"]
