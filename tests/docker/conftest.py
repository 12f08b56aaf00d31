"""docker/ is no package that is installed: docker/engine.py finds the rest beside itself."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "docker"))
