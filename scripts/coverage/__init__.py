"""Which statements of the contracts the contract tests run: `python -m scripts.coverage`."""
