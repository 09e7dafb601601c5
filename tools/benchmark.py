#!/usr/bin/env python
"""Benchmark speed and memory: median and 95th percentile, with a line about the machine."""
import argparse
import sys

from bafenet_command import Parser, real, tool, whole


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__)
    parser.add_argument('--out', metavar='FILE.json', help='write the results')
    tasks = parser.add_subparsers(dest='task', required=True)
    augment = tasks.add_parser('augment', help='BAG-CP, the training pipeline, the memory of a worker')
    augment.add_argument('--config', default='configs/bafenet/bafenet_r50_densesirst.py')
    augment.add_argument('--data-root', default='data/SIRSTdevkit')
    augment.add_argument('--images', type=whole(1, 10**5), default=200, help='images per measurement [200]')
    augment.add_argument('--cache-mb', type=real(0, 2**20), default=2048,
                         help='bound of the cache of decoded files [2048]')
    model = tasks.add_parser('model', help='training steps and predictions against FCOS, the exchanges alone')
    model.add_argument('--steps', type=whole(1, 10**4), default=7, help='runs of each that count [7]')
    model.add_argument('--device', choices=['cpu', 'cuda'], default='cpu', help='[cpu]')
    ops = tasks.add_parser('ops', help="mmcv's operators as they are here, beside compiled mmcv where there is one")
    ops.add_argument('--steps', type=whole(1, 10**4), default=5, help='runs of each that count [5]')
    ops.add_argument('--size', type=whole(64, 2048), default=512, help='side of the frame in pixels, of whose features '
                     'the operators get those of stride 8 [512]')
    ops.add_argument('--device', choices=['cpu', 'cuda'], default='cpu', help='[cpu]')
    predict = tasks.add_parser('predict', help='predictions of whole frames at batch 1, through NMS and sky map')
    predict.add_argument('config', nargs='?', help='config file, to time the network as it is tested; the frames are '
                         'of its test split')
    predict.add_argument('checkpoint', nargs='?', help='weights, a file or a shipped name [untrained]')
    predict.add_argument('--backends', nargs='+', choices=['baseline', 'torch', 'bf16', 'onnx', 'int8'],
                         help='instead of a config: ways to run --weights on a CPU, in turn on the same frames; '
                         'baseline is PyTorch without what makes it fast')
    predict.add_argument('--weights', default='bafenet_hr_tiny', help='for --backends: shipped name or checkpoint '
                         '[bafenet_hr_tiny]')
    predict.add_argument('--threads', type=whole(1, 1024), help='for --backends [as many as PyTorch takes]')
    predict.add_argument('--shape', nargs=2, type=whole(1, 8192), metavar=('H', 'W'), default=(512, 640),
                         help='height and width of the frames that are taken [512 640]')
    predict.add_argument('--images', type=whole(1, 10**5), default=30, help='frames that count, at most [30]')
    predict.add_argument('--data-root', help='devkit [the config\'s]')
    predict.add_argument('--device', choices=['cpu', 'cuda'], default='cpu', help='[cpu]')
    for task in (augment, model, ops, predict):
        # After the subcommand too, where people look for it.
        task.add_argument('--out', metavar='FILE.json', default=argparse.SUPPRESS, help='write the results')
    args = parser.parse_args(argv)
    if args.task == 'predict' and (args.config is None) == (args.backends is None):
        parser.error('predict takes either a config or --backends')
    return args


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    from mmengine.registry import init_default_scope

    import bafenet  # noqa: F401
    from bafenet.analysis import benchmark, model_benchmark, prediction_benchmark
    from bafenet.fileio import require_json_name, write_json
    require_json_name(args.out)
    init_default_scope('mmdet')
    if args.task == 'augment':
        results = benchmark.benchmark_augment(args.config, args.data_root, args.images, args.cache_mb)
    elif args.task == 'model':
        results = model_benchmark.benchmark_model(args.steps, args.device)
    elif args.task == 'ops':
        from bafenet.analysis.operator_benchmark import benchmark_operators
        results = benchmark_operators(args.steps, args.device, args.size)
    elif args.backends:
        from bafenet.analysis.backend_benchmark import benchmark_backends, print_backends
        results = benchmark_backends(args.weights, args.backends, args.shape, args.images, args.data_root, args.threads)
    else:
        results = prediction_benchmark.benchmark_predict(args.config, args.checkpoint, args.shape, args.images,
                                                         args.data_root, args.device)
    (print_backends if args.task == 'predict' and args.backends else benchmark.print_results)(results)
    if args.out:
        write_json(args.out, results)
    return 0


if __name__ == '__main__':
    sys.exit(main())
