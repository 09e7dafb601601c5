#!/usr/bin/env python
"""Make the demo set: procedural infrared scenes in the layout of SIRSTdevkit."""
import argparse
import json
import os
import sys

from bafenet_command import Parser, complain, tool, whole


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('out', nargs='?', default='data/demo', help='folder to create')
    parser.add_argument('--images', type=whole(3, 10**5), default=300, help='number of images')
    parser.add_argument('--size', type=whole(96, 4096), default=192, help='side of the images in pixels')
    parser.add_argument('--seed', type=whole(0, 2**32 - 1), default=0, help='the same seed gives the same set')
    parser.add_argument('--workers', type=whole(1, 256), default=min(os.cpu_count() or 1, 4),
                        help='processes; the set does not depend on their number')
    parser.add_argument('--force', action='store_true', help='replace a demo set that is there (never anything else)')
    parser.add_argument('--report', action='store_true',
                        help='write nothing; measure how far brightness alone solves the set, and print it as JSON')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status, which is 2 for bad input."""
    args = parse_args(argv)
    from bafenet.errors import InputError, printable
    from bafenet.synthesis.brightness_report import brightness_report
    from bafenet.synthesis.make_demo import check_demo_options, write_demo_set
    from bafenet.synthesis.scenes import draw_scene
    try:
        check_demo_options(args.images, args.size, args.seed, args.workers)
        if args.report:
            scenes = (draw_scene(args.seed, index, args.size) for index in range(1, args.images + 1))
            print(json.dumps(brightness_report(scenes), indent=2))
        elif write_demo_set(args.out, args.images, args.size, args.seed, args.workers, args.force):
            print(f'{printable(args.out)}: {args.images} images written')
        else:
            print(f'{printable(args.out)}: is there already, made with the same settings')
    except InputError as error:
        return complain(error)
    return 0


if __name__ == '__main__':
    sys.exit(main())
