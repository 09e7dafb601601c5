#!/usr/bin/env python
"""Write one HTML file about runs: what they are, metrics beside the paper's, curves, and their worst frames."""
import argparse
import sys

from bafenet_command import Parser, call_of, printable, real, tool, whole


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__)
    parser.add_argument('places', nargs='+', metavar='RUN', help=f'work dir of {call_of("train")} or '
                        f'{call_of("test")}, or a file of {call_of("test")} --out')
    parser.add_argument('--out', default='report.html', metavar='FILE.html', help='the report [report.html]')
    parser.add_argument('--labels', nargs='+', metavar='NAME', help='names of the runs [their folders]')
    parser.add_argument('--title', default='BAFE-Net runs', help='heading of the report [BAFE-Net runs]')
    parser.add_argument('--worst', type=whole(0, 100), default=6, metavar='N', help='frames on each contact sheet: '
                        'missed targets, false alarms, wrong sky; 0 for none [6]')
    parser.add_argument('--score', type=real(0, 1), help='lowest score that counts on the sheets and in the recall by '
                        'bins [of each run, where its F1 is highest]')
    parser.add_argument('--frames', metavar='FOLDER', help='where frames are that are not where the results say')
    parser.add_argument('--no-predicted-sky', dest='predict_sky', action='store_false', help='do not run the network '
                        'on the frames of the sheets to draw the sky that it predicts')
    parser.add_argument('--max-mb', type=real(0.1, 1000), default=10.0, help='largest size of the file, in 10^6 bytes; '
                        'pictures that do not fit are left out, with a note [10]')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = vars(parse_args(argv))
    from bafenet.report import write_report
    done = write_report(**args)
    for line in done['damaged']:
        print(f'report.py: left out: {line}', file=sys.stderr)
    without = f' ({done["without"]} frames without one)' if done['without'] else ''
    print(f'{done["runs"]} run{"s" * (done["runs"] != 1)}, {done["pictures"]} pictures of frames{without}')
    print(f'wrote {printable(args["out"])}, {done["bytes"] / 10**6:.1f} MB')
    return 0


if __name__ == '__main__':
    sys.exit(main())
