"""Run by Alembic inside the transaction that `relayer.schema` has opened."""

from __future__ import annotations

from alembic import context

from relayer.schema import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
