#!/usr/bin/env python
"""Export the weights of a training checkpoint: float16, without the optimizer, with config and provenance."""
import argparse
import json
import sys

from bafenet_command import Parser, tool, whole


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__)
    parser.add_argument('checkpoint', help='training checkpoint, or the work dir whose best one is meant (the last '
                        'one of a run that picks none)')
    parser.add_argument('out', metavar='NAME.pth', help='file to write, as bafenet/weights/bafenet_hr_tiny.pth')
    parser.add_argument('--command', required=True, help='the command that trained it')
    parser.add_argument('--commit', required=True, help='the commit of the code that trained it')
    parser.add_argument('--seed', type=whole(0, 2**32 - 1), help='seed of the training [the checkpoint\'s]')
    parser.add_argument('--hardware', help='what it was trained on, and for how long')
    parser.add_argument('--force', action='store_true', help='overwrite')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    import bafenet  # noqa: F401
    from bafenet.release.export import export
    print(json.dumps(export(**vars(args)), indent=1))
    return 0


if __name__ == '__main__':
    sys.exit(main())
