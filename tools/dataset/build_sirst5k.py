#!/usr/bin/env python
"""Build the development set of SIRST-5K: frames, the same with real noise mixed in, and rotated targets."""
import argparse
import sys

from bafenet_command import Parser, real, tool, whole

EPILOG = """SOURCE has the layout of NUDT-SIRST (images, masks, splits/NAME.txt), that of IRSTD-1k or SIRST, or is a
SIRSTdevkit. It is only read. OUT gets images, masks (0 and 255), splits and manifest.json, which says what each image
was made of. Of NUDT-SIRST's training split the set has 663 frames, 663 mixed and 4 x 918 negatives, 4998 in all; --size
5562 fills up to the paper's number. Called again with the same options, an interrupted run goes on where it was."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, epilog=EPILOG)
    parser.add_argument('source', metavar='SOURCE', help='data set to start from')
    parser.add_argument('out', metavar='OUT', help='folder to write')
    parser.add_argument('--split', default='train', help='list of the frames to take, in splits [%(default)s]')
    parser.add_argument('--size', type=whole(1, 10**6), metavar='N',
                        help='fill up to N images with further draws of noise [one draw a frame]')
    parser.add_argument('--seed', type=whole(0, 2**32 - 1), default=0,
                        help='the same seed gives the same set [%(default)s]')
    parser.add_argument('--workers', type=whole(1, 256), default=1,
                        help='processes; the set does not depend on it [%(default)s]')
    parser.add_argument('--sheet', metavar='FILE.png', help='draw some frames with what was made of them')
    noise = parser.add_argument_group('noise', 'Eq. 1-3')
    noise.add_argument('--alpha', type=real(0, 1), default=0.1,
                       help='share of the noise in a mixed frame [%(default)s]')
    noise.add_argument('--window', type=whole(2, 1024), default=32, help='side of its windows in pixels [%(default)s]')
    noise.add_argument('--max-variance', type=real(0, 65535**2), default=50.,
                       help='windows of more variance are texture, no noise [%(default)s]')
    noise.add_argument('--min-mean', type=real(0, 65535), default=0.,
                       help='the mean of a window lies above it [%(default)s]')
    noise.add_argument('--max-mean', type=real(0, 65535), help='and below it [no bound]')
    target = parser.add_argument_group('negatives', 'Eq. 4')
    target.add_argument('--target-window', type=whole(2, 1024), default=3,
                        help='side of the rotated window in pixels [%(default)s]')
    target.add_argument('--rotate-label', action='store_true', help='rotate the mask too [it stays, as in the paper]')
    return parser.parse_args(argv)


@tool('the same command goes on where it was')
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = vars(parse_args(argv))
    from pathlib import Path

    from bafenet.errors import InputError, printable
    from bafenet.fileio import require_writable_file, require_writable_folder
    from bafenet.synthesis.build_sirst5k import build_sirst5k
    from bafenet.synthesis.noise import NoiseRules
    require_writable_folder(args['out'])
    sheet = args.pop('sheet')
    if sheet and not sheet.lower().endswith('.png'):
        raise InputError(f'--sheet {printable(sheet)}: the file must end in .png')
    require_writable_file(sheet, '--sheet')
    rules = NoiseRules(**{key: args.pop(key) for key in ('window', 'max_variance', 'min_mean', 'max_mean')})
    made = build_sirst5k(noise=rules, **args)
    print(f'{printable(args["out"])}: {made.original} frames + {made.mixed} mixed with noise + {made.negative} '
          f'negatives of {made.targets} targets = {made.images} images')
    if sheet:
        from bafenet.visualization.sirst5k_sheet import write_sirst5k_sheet
        write_sirst5k_sheet(Path(args['out']), args['split'], args['alpha'], sheet)
    return 0


if __name__ == '__main__':
    sys.exit(main())
