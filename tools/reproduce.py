#!/usr/bin/env python
"""Print a table of the paper beside its numbers, or one of our own: train and test what is missing first.

The same command goes on after an interruption. What is finished is not run again, and rows that are the same network
are trained once. Runs lie in WORK_DIR/PROTOCOL/ROW/seed_N, the tables in WORK_DIR/PROTOCOL/table_N.md and .json. Runs
on other splits need another WORK_DIR.
"""
import argparse
import re
import sys
from pathlib import Path

from bafenet_command import Parser, call_of, tool, whole

# As bafenet.reproduction.tables.read_tables: those of this folder, else the package's.
TABLES = next(filter(Path.is_dir, (Path('configs/tables'), Path(__file__).resolve().parents[1] / 'configs/tables')),
              Path('configs/tables'))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('table', metavar='TABLE', nargs='?',
                        help=f'one of {_names()}, the number of a Roman one (3), or a table of your own, written as '
                        'those of configs/tables (FILE.yaml); --list says what they show')
    parser.add_argument('--protocol', choices=['paper', 'ours', 'demo', 'release'],
                        help='how to train and test; demo: the narrow network on data/demo, in minutes; release: as '
                        'SIRST-5K\'s code, not its text [the table\'s first: paper, or ours for differences and hr]')
    parser.add_argument('--seeds', type=whole(), default=3, help='train each row with so many seeds, from 0 [3]')
    parser.add_argument('--epochs', type=whole(),
                        help='epochs; the steps of the learning rate are brought to this length [the protocol\'s]')
    parser.add_argument('--data', metavar='ROOT', help='folder of the data [the protocol\'s]')
    parser.add_argument('--work-dir', default='work_dirs/reproduce', help='folder for runs and tables '
                        '[work_dirs/reproduce]')
    parser.add_argument('--rows', nargs='+', metavar='ROW', help='run these rows alone, named by their keys (as in '
                        'tiny_no_sky); the table is printed whole [all]')
    parser.add_argument('--splits', metavar='NAME', help='the splits to train, validate and test on: v2, as published, '
                        'rec, which share no recording, or your own [the protocol\'s: v2]')
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--list', dest='list_only', action='store_true',
                      help='run nothing, print the keys and labels of the rows of TABLE, or without one all tables')
    what.add_argument('--report-only', action='store_true', help='run nothing, print what is finished')
    what.add_argument('--dry-run', action='store_true', help='run nothing, print what would run and an estimate of the '
                      'time')
    what.add_argument('--commands', action='store_true', help='run nothing, print for each row the command of '
                      f'{call_of("train")} that trains it, with seed 0, and how it is tested where the table says so')
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE', help='settings to change in every run')
    args = parser.parse_args(argv)
    if args.table is None and not args.list_only:
        parser.error('give a TABLE, or --list to see which there are')
    return args


def _names() -> str:
    """The names of the tables and of their groups, from the files, without the seconds that importing bafenet takes."""
    groups: dict[str | None, list[str]] = {}
    for file in sorted(TABLES.glob('*.yaml')):
        group = re.search(r'^group: *([\w-]+) *$', file.read_text(encoding='utf-8', errors='replace'), re.MULTILINE)
        groups.setdefault(group and group[1], []).append(file.stem)
    return ', '.join(', '.join(names) if group is None else f'{group} ({", ".join(names)})'
                     for group, names in groups.items())


@tool('the same command goes on from the last whole epoch, or starts again where there is none')
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    from bafenet.reproduction.reproduce import reproduce
    return reproduce(**vars(args))


if __name__ == '__main__':
    sys.exit(main())
