"""The paper's tables beside ours and tables of our own, run and printed: what ``tools/reproduce.py`` does.

tables.py (the tables as data), plan.py (rows and seeds to runs, each with what its result depends on),
train_commands.py (a row as a command of tools/train.py), stored.py (what a run has left in its folder), worker.py (one
run from beginning to end, in a process of its own), estimate.py (how long), report.py (the printed table), listing.py
(which tables there are), reproduce.py (all of it in order).
"""
