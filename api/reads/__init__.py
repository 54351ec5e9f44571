"""Read models: questions that the API answers from the tables of the relayer and the indexer.

Promises: plain functions of the database; rows become JSON shapes here and nowhere else.
"""
