"""The journal: every command in order, on disk before anyone is told that it was accepted.

record.py        one command as bytes with length, checksum, sequence and its place in the group of one sync
segment.py       one file: name, header, and how files chain; version 1's single file becomes the first
journal.py       the open journal: append, sync, begin a new file, read back, cut a torn last group, refuse damage
lock.py          one engine per journal
snapshot.py      the engine's state at a sequence, so that a start need not replay everything
retention.py     files that no start needs any more are removed or archived
scan.py          one file read without changing it, past damage as well
inspection.py    records, snapshots and damage of a folder, for people
repair.py        cuts a damaged tail, after keeping a copy
command.py       `python -m relayer journal verify | show | repair`
"""
