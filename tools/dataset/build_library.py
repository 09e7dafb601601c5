#!/usr/bin/env python
"""Build the library of targets that BAG-CP and densify.py paste from."""
import argparse

EPILOG = """Cut out are the boxes of the target masks' connected components, as grey levels. Take the training split of
the protocol in use, never one that is tested on. DATA_ROOT is a SIRSTdevkit (PNGImages, SIRST ...) or SIRST-V2 as
published (mixed, annotations ...). Mind that in a SIRSTdevkit, DenseSIRST, most targets are themselves synthetic: they
were pasted when that set was made. SIRST-V2 holds real ones alone."""


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG)
    parser.add_argument('root', metavar='DATA_ROOT', help='data set with images, target masks and splits')
    parser.add_argument('--split', default='train_v2', help='split to take targets from [%(default)s]')
    parser.add_argument('--out', required=True, metavar='FILE.npz', help='file to write')
    parser.add_argument(
        '--remove-background',
        action='store_true',
        help='subtract from each target the median of the pixels around its box [keep its pixels as they are]')
    parser.add_argument('--force', action='store_true', help='replace the file where it exists')
    return parser.parse_args()


def main() -> None:
    """Parse, then build."""
    args = parse_args()
    from bafenet.engine import cli
    from bafenet.synthesis.library import write_library
    with cli.one_line_errors():
        summary = write_library(**vars(args))
        median, largest, frequent = ('{:g}x{:g}'.format(*summary[key]) for key in (
            'median_size', 'largest_size', 'most_frequent_size'))
        print(f'{args.out}: {summary["targets"]} targets, height x width: median {median}, most frequent {frequent}, '
              f'largest sides {largest}; {summary["file_bytes"] / 1024:.0f} KiB')


if __name__ == '__main__':
    main()
