"""The local exchange as one thing: node, contracts, indexer, engine, settler, API and bots, started in order."""
