"""What an operator can get wrong on the settler's command line."""

from __future__ import annotations

import pytest

from relayer.settler.main import main


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--promise", "soon", "soon is not a number from 0 to 1000000000"),
        ("--interval", "-1", "-1 is not a number from 0 to 1000000000"),
        ("--fee-cap-gwei", "nan", "nan is not a number from 0 to 1000000000"),
        ("--max-fills", "0", "0 is not a whole number above 0"),
        ("--confirmations", "1.5", "1.5 is not a whole number above 0"),
        ("--gas-limit", "99000000", "must be at most"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(
    capsys: pytest.CaptureFixture[str], option: str, value: str, said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--key-file", "core.key", f"{option}={value}"])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
