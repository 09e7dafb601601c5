#!/usr/bin/env python
"""Measure classical methods (Top-Hat, local contrast, low rank) on frames with target masks, and draw their curves."""
import argparse
import sys

from bafenet_command import Parser, tool, whole

# Those of bafenet.classical, which the help need not wait for.
METHODS = ('Top-Hat', 'Max-Median', 'LCM', 'MPCM', 'TLLCM', 'WSLCM', 'IPI', 'NRAM', 'RIPT', 'PSTNN')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__)
    tasks = parser.add_subparsers(dest='task', required=True)
    measure = tasks.add_parser('measure', help='by pixel and by target, with both threshold rules, and the time')
    measure.add_argument('data_root', metavar='DATA', help='folder of frames and target masks: NUDT-SIRST, IRSTD-1k, '
                         'SIRST, a devkit')
    measure.add_argument('--split', default='', help='split file below DATA, as splits/test.txt [all frames]')
    measure.add_argument('--methods', nargs='+', choices=METHODS, default=METHODS, metavar='METHOD',
                         help=f'of {", ".join(METHODS)} [all]')
    measure.add_argument('--workers', type=whole(1, 256), default=1, help='processes [1]')
    measure.add_argument('--limit', type=whole(1, 10**9), help='at most so many frames, evenly taken [all]')
    measure.add_argument('--out', metavar='FILE.json', help='write the numbers and curves')
    draw = tasks.add_parser('draw', help='found against false alarms, a panel for each file of measure')
    draw.add_argument('results', nargs='+', metavar='FILE.json', help='what measure --out wrote')
    draw.add_argument('--out', required=True, metavar='FILE.png', help='picture, .png, .svg or .pdf')
    draw.add_argument('--labels', nargs='+', help='titles of the panels [the data\'s folders]')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = vars(parse_args(argv))
    task = args.pop('task')
    import bafenet  # noqa: F401
    from bafenet.analysis import classical_methods
    getattr(classical_methods, task)(**args)
    return 0


if __name__ == '__main__':
    sys.exit(main())
