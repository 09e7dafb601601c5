#!/usr/bin/env python
"""Write the model card of exported weights, NAME.md, and what was measured with them, NAME.json, beside NAME.pth."""
import argparse
import sys

from bafenet_command import Parser, call_of, tool


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__)
    parser.add_argument('weights', metavar='NAME.pth', help=f'what {call_of("export")} wrote')
    parser.add_argument('--results', required=True, metavar='RESULTS.json',
                        help=f'what {call_of("test")} CONFIG NAME --out wrote with these weights')
    parser.add_argument('--subset', metavar='RESULTS.json',
                        help='the same on some images, for a quick test that the weights give their numbers')
    parser.add_argument('--beside', nargs='+', action='append', default=[], metavar=('LABEL', 'RESULTS.json'),
                        help='results of other networks of the same config for another column of the table, several '
                        'as mean and standard deviation; may be repeated')
    parser.add_argument('--force', action='store_true', help='overwrite')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    import bafenet  # noqa: F401
    from bafenet.release.model_card import write_card
    write_card(**vars(args))
    return 0


if __name__ == '__main__':
    sys.exit(main())
