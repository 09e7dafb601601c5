"""Make the demo set: procedural infrared scenes in the layout of SIRSTdevkit."""
import argparse
import json
import os
import sys
from typing import List, Optional

from bafenet.errors import InputError
from bafenet.synthesis.devkit import write_demo_set
from bafenet.synthesis.scenes import brightness_report, draw_scene


def parse_args(argv: Optional[List[str]]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('out', nargs='?', default='data/demo', help='folder to create')
    parser.add_argument('--images', type=int, default=300, help='number of images')
    parser.add_argument('--size', type=int, default=192, help='side of the images in pixels')
    parser.add_argument('--seed', type=int, default=0, help='the same seed gives the same set')
    parser.add_argument('--workers', type=int, default=min(os.cpu_count() or 1, 4),
                        help='processes; the set does not depend on their number')
    parser.add_argument('--force', action='store_true', help='replace a demo set that is there (never anything else)')
    parser.add_argument('--report', action='store_true',
                        help='write nothing; measure how far brightness alone solves the set, and print it as JSON')
    return parser.parse_args(argv)


def main(argv: Optional[List[str]] = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    try:
        if args.report:
            scenes = (draw_scene(args.seed, index, args.size) for index in range(1, args.images + 1))
            print(json.dumps(brightness_report(scenes), indent=2))
        elif write_demo_set(args.out, args.images, args.size, args.seed, args.workers, args.force):
            print(f'{args.out}: {args.images} images written')
        else:
            print(f'{args.out}: is there already, made with the same settings')
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
