"""The routes of `/v1`, one small file a subject. Order entry, the hot path, is `api.order_entry`."""
