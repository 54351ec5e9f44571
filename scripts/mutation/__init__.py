"""What `python -m scripts.mutate` is made of: the record of what was tried, and the tests' process that tries it."""

from scripts.coverage.__main__ import RANDOM_PLAY

# Tests that would notice any change of a source, or need a node: they would say nothing about the other tests.
LEFT_OUT = ("test_gas.py", "test_settlement_node.py", "custody/test_deploy.py", "custody/test_abi.py",
            "custody/test_snapshots.py", "custody/test_security_page.py", "custody/test_custody_gas.py",
            "custody/test_debt_gas.py", "upgrade/test_proxy_gas.py", "upgrade/test_storage_layout.py")  # fmt: skip
LONG_TESTS = RANDOM_PLAY  # seconds each: asked last
