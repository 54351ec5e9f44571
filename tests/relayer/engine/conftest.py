"""Lets these tests import the plain modules beside them: the naive matcher and the trading desk."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
