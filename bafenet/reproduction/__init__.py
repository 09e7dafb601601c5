"""The paper's tables beside ours and tables of our own, run and printed: what ``tools/reproduce.py`` does.

table.py and tables.py (the tables as data), columns.py (metrics, costs, units), plan.py (rows and seeds to runs),
depends.py and data.py (what a result depends on), method_run.py (a classical method), costs.py (of a network),
train_commands.py (a row as a command of tools/train.py), stored.py (what a run has left in its folder), worker.py (one
run from beginning to end, in a process of its own), estimate.py (how long), report.py (the printed table), listing.py
(which tables there are), reproduce.py (all of it in order).
"""
