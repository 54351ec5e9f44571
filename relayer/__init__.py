"""The relayer: takes signed orders, matches them, and settles the matches on chain. Imports only `cxdex`."""
