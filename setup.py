"""Installation: the package, and the configs inside it as ``bafenet/configs``."""
from pathlib import Path

from setuptools import find_packages, setup

CONFIG_PACKAGES = ['bafenet.configs'] + sorted({
    '.'.join(('bafenet', *file.parent.parts))
    for file in Path('configs').rglob('*.py')
})

setup(
    name='bafenet',
    version='0.1.0',
    description='Clustered infrared small target detection with background semantics, on MMDetection',
    long_description=Path('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10,<3.14',
    # How the tools start, apart from the package, whose imports take seconds.
    py_modules=['bafenet_command'],
    packages=find_packages(include=['bafenet', 'bafenet.*']) + CONFIG_PACKAGES,
    package_dir={'bafenet.configs': 'configs'},
    # The tables, which tools/reproduce.py reads; DenseSIRST's splits by recording; weights and their cards.
    package_data={
        'bafenet.configs': ['tables/*.yaml'],
        'bafenet.datasets': ['splits/*.txt'],
        'bafenet.weights': ['*.pth', '*.md', '*.json'],
    },
    install_requires=[
        'torch>=2.6',
        'torchvision>=0.21',
        'mmengine>=0.10.7,<0.11',
        'mmcv-lite>=2.0,<2.2',
        'mmdet>=3.3,<3.4',
        'prodigyopt>=1.1,<2',
        'dadaptation>=3.2,<4',
        'numpy>=1.26,<3',
        'opencv-python>=4.8,<6',
        'scipy>=1.11,<2',
        'matplotlib>=3.8,<4',
        'pillow>=10',
        'rich>=13,<16',
        'tqdm>=4.66,<5',
        'setuptools>=70.1,<82',
    ],
)
