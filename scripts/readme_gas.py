"""The README's row of gas figures, from the gas page: what a fill costs as deployed, behind its proxy.

Owns:     that row's figures. `python -m scripts.gas_report --write` renews them with the page.
Never:    measures.
"""

from __future__ import annotations

import re

ROW = re.compile(r"(?<=\n)(\| gas a fill[^|\n]*\|)[^|\n]*\|")
SHAPE = re.compile(r"^\| ([A-D]'?): [^|]*\| ([\d,]+) \|", re.MULTILINE)
PROXY = "Behind the Proxy"


def renewed(readme: str, page: str) -> str:
    """The README with the page's figures."""
    bare, more = (dict(SHAPE.findall(part)) for part in page.split(PROXY))
    figures = ", ".join(f"{_gas(bare[shape]) + _gas(more[shape]):,}" for shape in bare)
    return ROW.sub(rf"\1 {figures} |", readme)


def _gas(text: str) -> int:
    return int(text.replace(",", ""))
