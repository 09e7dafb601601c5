"""Each frame has a picture and a sky map of its own, whatever the files are called."""
import json
import os

import cv2
import numpy as np
import pytest
from PIL import Image

from bafenet.apis.pictures import places_of
from bafenet.apis.predict import predict


@pytest.mark.parametrize(('files', 'places'), [
    (['x', 'x.png'], ['x-2.png', 'x.png']),
    (['x.png', 'x'], ['x.png', 'x-2.png']),
    (['c.tif', 'c.tif.png', 'c.tif-2.png'], ['c.tif-3.png', 'c.tif.png', 'c.tif-2.png']),
    (['x', 'x.png/a.png'], ['x-2.png', 'x.png/a.png']),  # a folder of that name
    (['a/x', 'b/x.png', 'x.jpg'], ['a/x.png', 'b/x.png', 'x.jpg.png'])])
def test_no_two_files_share_a_place(files, places, tmp_path):
    files = [str(tmp_path / file) for file in files]
    assert list(places_of(files, str(tmp_path), '.png', {}).values()) == places
    # Given again, each frame keeps its own.
    owners = dict(zip(places, files, strict=True))
    assert list(places_of(files, str(tmp_path), '.png', owners).values()) == places


def test_the_place_of_an_earlier_frame_is_left_to_it(tmp_path):
    owners = {'x.png': str(tmp_path / 'x'), 'film.mp4': f'{tmp_path}/film.avi#3'}
    assert list(places_of([f'{tmp_path}/x.png'], str(tmp_path), '.png', owners).values()) == ['x-2.png']
    assert list(places_of([f'{tmp_path}/film.mp4'], str(tmp_path), '.mp4', owners).values()) == ['film-2.mp4']


def test_pictures_and_sky_maps_of_names_that_differ_by_png(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir('c')
    files = ['c/x', 'c/x.png', 'c/c.tif', 'c/c.tif.png']
    for number, name in enumerate(files):  # of four sizes, by which they are told apart
        image = np.full((32, 40 + 8 * number), 60, np.uint8)
        with open(name, 'wb') as file:
            file.write(cv2.imencode('.tif' if name.endswith('.tif') else '.png', image)[1].tobytes())
    predict(files[:1], out='out', pictures=True, sky_maps=True)
    predict(files, out='out', pictures=True, sky_maps=True)
    with open('out/predictions.json', encoding='utf-8') as file:
        images = json.load(file)['images']
    assert [image['file_name'] for image in images] == files
    assert len({image['picture'] for image in images}) == 4
    for image in images:
        with Image.open(f'out/{image["sky_map"]}') as sky:
            assert sky.size == (image['width'], image['height'])
