#!/usr/bin/env python
"""Print parameters and FLOPs of configs, beside the paper's."""
import argparse
import json


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('configs', nargs='+', metavar='CONFIG',
                        help='config files, for example configs/bafenet/bafenet_r50_paper_densesirst.py')
    parser.add_argument('--shape', nargs=2, type=int, metavar=('H', 'W'),
                        help='height and width of the input [the config\'s input_size]')
    parser.add_argument('--out', metavar='FILE.json', help='write the results')
    return parser.parse_args()


def main() -> None:
    """Parse, count, print."""
    args = parse_args()
    from mmengine.registry import init_default_scope

    import bafenet  # noqa: F401
    from bafenet.analysis import complexity
    from bafenet.engine import cli
    from bafenet.fileio import write_text
    with cli.one_line_errors():
        init_default_scope('mmdet')
        rows = complexity.compare(args.configs, args.shape)
        complexity.print_comparison(rows)
        if args.out:
            write_text(args.out, json.dumps(rows, indent=1) + '\n')


if __name__ == '__main__':
    main()
