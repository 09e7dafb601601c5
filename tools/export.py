#!/usr/bin/env python
"""Export a trained network: its weights (NAME.pth, float16, config and provenance inside), or an ONNX file (--onnx)."""
import argparse
import json
import sys

from bafenet_command import Parser, tool, whole

# Options of either form, with their defaults.
WEIGHTS = dict(command=None, commit=None, seed=None, hardware=None, score_map=None)
ONNX = dict(nms=False, precision='float32', data_root=None, split='val_v2', calibration=128)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__)
    parser.add_argument('checkpoint', help='checkpoint, the work dir whose best one is meant (the last one of a run '
                        'that picks none), or with --onnx the name of weights that come with the package')
    parser.add_argument('out', metavar='NAME.pth', nargs='?', help='file to write, as '
                        'bafenet/weights/bafenet_hr_tiny.pth')
    parser.add_argument('--onnx', metavar='NAME.onnx', help='file to write instead: takes 8-bit frames, gives boxes, '
                        'scores and sky probability; it is checked by onnxruntime (docs/deploy.md)')
    parser.add_argument('--force', action='store_true', help='overwrite')
    weights = parser.add_argument_group('weights')
    weights.add_argument('--command', help='the command that trained it; needed')
    weights.add_argument('--commit', help='the commit of the code that trained it; needed')
    weights.add_argument('--seed', type=whole(0, 2**32 - 1), help='seed of the training [the checkpoint\'s]')
    weights.add_argument('--hardware', help='what it was trained on, and for how long')
    weights.add_argument('--score-map', metavar='FILE.json', help='calibrate the scores by what tools/analysis/'
                         'calibrate.py --out wrote')
    onnx = parser.add_argument_group('ONNX')
    onnx.add_argument('--nms', action='store_true', help='put threshold, NMS, maximum and whole pixels inside')
    onnx.add_argument('--precision', choices=['float32', 'float16', 'int8'], default='float32', help='[float32]')
    onnx.add_argument('--data-root', metavar='FOLDER', help='devkit for the check and for int8 [the config\'s]')
    onnx.add_argument('--split', metavar='NAME', default='val_v2', help='what int8 is compared with float32 on '
                      '[val_v2]')
    onnx.add_argument('--calibration', type=whole(1, 10_000), default=128, metavar='N', help='training frames that '
                      'int8 is calibrated on [128]')
    args = parser.parse_args(argv)
    _require_one_form(parser, args)
    return args


def _require_one_form(parser: Parser, args: argparse.Namespace) -> None:
    if (args.out is None) == (args.onnx is None):
        parser.error('give either the name of a .pth file or --onnx NAME.onnx')
    others = ONNX if args.onnx is None else WEIGHTS
    foreign = [f'--{name.replace("_", "-")}' for name, value in others.items() if getattr(args, name) != value]
    if foreign:
        parser.error(f'{foreign[0]} belongs to {"--onnx NAME.onnx" if args.onnx is None else "NAME.pth"}')
    absent = [] if args.onnx else [f'--{name}' for name in ('command', 'commit') if getattr(args, name) is None]
    if absent:
        parser.error(f'the following arguments are required: {", ".join(absent)}')


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    import bafenet  # noqa: F401
    if args.onnx is None:
        from bafenet.release.export import export
        settings = {name: getattr(args, name) for name in WEIGHTS}
        print(json.dumps(export(args.checkpoint, args.out, force=args.force, **settings), indent=1))
        return 0
    from bafenet.release.onnx_export import export_onnx
    settings = {name: getattr(args, name) for name in ONNX}
    print(json.dumps(export_onnx(args.checkpoint, args.onnx, force=args.force, **settings), indent=1))
    return 0


if __name__ == '__main__':
    sys.exit(main())
