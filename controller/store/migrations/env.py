"""Runs migrations on the connection that the store hands over; the store begins and ends the transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=False)
context.run_migrations()
