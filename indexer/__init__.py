"""The indexer: rebuilds everything the chain knows from contract events alone. Imports only `cxdex`."""
