"""Drawn vehicles: names, labels and protocol restated here; what each side shows; people as they were."""

import hashlib
import re
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache
from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from reid_drawings import SyntheticBenchmark, SyntheticVehicles, draw_benchmark, draw_vehicles
from reid_drawings.camera import draw_camera
from reid_drawings.framing import Framing
from reid_drawings.vehicles import vehicle_images
from reid_drawings.vehicles.identity import Sticker, Vehicle, draw_vehicle_identity
from reid_drawings.vehicles.key_points import key_points_of
from reid_drawings.vehicles.model import Model, model_of
from reid_drawings.vehicles.plan import viewpoint_chances
from reid_drawings.vehicles.scene import VehicleShot, draw_vehicle
from reid_drawings.vehicles.shapes import TYPES
from reid_drawings.vehicles.solid import Solid, box, normal_of
from reid_drawings.vehicles.view import Stand, angle_of, look_at, viewpoint_at
from reid_pipeline.readers import lay_out

SMALL = SyntheticVehicles(seed=2, num_cameras=4, train_identities=4, test_identities=3, images_per_camera=(2, 3))
GRAMMAR = re.compile(r"image_(train|query|test)/([0-9]{4})_c([0-9]{3})_([0-9]{8})_0\.jpg")
FRONT, REAR, LEFT, LEFT_FRONT, LEFT_REAR, RIGHT, RIGHT_FRONT, RIGHT_REAR = range(8)


def files_of(parameters: SyntheticVehicles, **options) -> dict[str, bytes]:
    return lay_out("synthetic_vehicles", draw_vehicles(parameters, **{"processes": 1, **options}))


@pytest.fixture(scope="module")
def drawn() -> dict[str, bytes]:
    return files_of(SMALL)


def images_in(files: dict[str, bytes]) -> dict[str, list[tuple[int, int, int]]]:
    """(vehicle, camera, frame) by folder."""
    found = defaultdict(list)
    for path in files:
        if path.endswith(".jpg"):
            match = GRAMMAR.fullmatch(path)
            assert match is not None, path
            found[match[1]].append((int(match[2]), int(match[3]), int(match[4])))
    return found


def digest(files: dict[str, bytes]) -> str:
    return hashlib.sha256(b"".join(path.encode() + data for path, data in files.items())).hexdigest()


class TestFiles:
    def test_folders_names_and_counts(self, drawn):
        images = images_in(drawn)
        assert list(drawn) == sorted(drawn)
        assert {camera for rows in images.values() for _, camera, _ in rows} <= {1, 2, 3, 4}
        people = {folder: {row[0] for row in rows} for folder, rows in images.items()}
        assert len(people["train"]) == 4
        assert len(people["query"]) == 3
        assert people["query"] == people["test"]
        assert people["train"] | people["test"] == set(range(1, 8))

    def test_queries_are_images_of_the_test_folder_too(self, drawn):
        queries = [path for path in drawn if path.startswith("image_query/")]
        assert queries
        for path in queries:
            assert drawn[path.replace("image_query", "image_test")] == drawn[path]

    def test_one_query_per_vehicle_and_camera_and_a_match_in_another_camera(self, drawn):
        images = images_in(drawn)
        queries = [row[:2] for row in images["query"]]
        gallery = {row[:2] for row in images["test"]}
        assert len(queries) == len(set(queries))
        assert set(queries) == gallery
        for vehicle, camera in queries:
            assert any(other == vehicle and elsewhere != camera for other, elsewhere in gallery)

    def test_name_lists(self, drawn):
        for half in ("train", "query", "test"):
            names = drawn[f"name_{half}.txt"].decode().splitlines()
            assert names == [path.split("/")[1] for path in drawn if path.startswith(f"image_{half}/")]

    @pytest.mark.parametrize(("half", "root"), [("train", "TrainingImages"), ("test", "TestImages")])
    def test_labels(self, drawn, half, root):
        content = drawn[f"{half}_label.xml"]
        declaration, body = content.decode("gb2312").split("\n", 1)
        assert declaration == '<?xml version="1.0" encoding="gb2312"?>'
        tree = ElementTree.fromstring(body)
        assert tree.tag == root
        items = list(tree.iter("Item"))
        assert tree.find("Items").attrib["number"] == str(len(items))
        names = [item.attrib["imageName"] for item in items]
        assert sorted(names) == [path.split("/")[1] for path in drawn if path.startswith(f"image_{half}/")]
        looks = defaultdict(set)
        for item in items:
            vehicle, camera = item.attrib["imageName"].split("_")[:2]
            assert (item.attrib["vehicleID"], item.attrib["cameraID"]) == (vehicle, camera)
            assert 1 <= int(item.attrib["colorID"]) <= 10
            assert 1 <= int(item.attrib["typeID"]) <= 9
            looks[vehicle].add((item.attrib["colorID"], item.attrib["typeID"]))
        assert all(len(found) == 1 for found in looks.values()), "a vehicle keeps colour and type"

    def test_lists_of_colours_and_types(self, drawn):
        assert drawn["list_color.txt"].decode().splitlines()[::9] == ["1 yellow", "10 black"]
        assert drawn["list_type.txt"].decode().splitlines()[::8] == ["1 sedan", "9 estate"]

    def test_key_point_files(self, drawn):
        for half in ("train", "test"):
            lines = [line.split() for line in drawn[f"keypoint_{half}.txt"].decode().splitlines()]
            assert sorted(line[0] for line in lines) == [p for p in drawn if p.startswith(f"image_{half}/")]
            for line in lines:
                assert len(line) == 1 + 2 * 20 + 1
                assert line[-1] in set("01234567")
                points = np.array(line[1:-1], dtype=int).reshape(20, 2)
                shown = points[(points != -1).all(axis=1)]
                assert len(shown) >= 4
                assert ((points == -1).all(axis=1) | (points >= 0).all(axis=1)).all()
                assert (shown < (128, 96)).all()

    def test_images_are_128_by_96_rgb_jpegs(self, drawn):
        for path, data in drawn.items():
            if path.endswith(".jpg"):
                with Image.open(BytesIO(data)) as image:
                    assert (image.format, image.size, image.mode) == ("JPEG", (128, 96), "RGB")
                    image.load()


class TestDrawing:
    @pytest.mark.slow
    def test_a_seed_gives_the_same_bytes_with_any_number_of_processes(self):
        seen: list[int] = []
        parameters = SMALL.model_copy(update={"train_identities": 5})
        one = files_of(parameters)
        assert digest(files_of(parameters, processes=2, on_image=seen.append)) == digest(one)
        assert len(seen) > 1
        assert seen == sorted(seen)
        assert seen[-1] == len(vehicle_images(parameters))

    def test_another_seed_gives_other_vehicles(self, drawn):
        other = files_of(SMALL.model_copy(update={"seed": 3}))
        pictures = [{data for path, data in files.items() if path.endswith("jpg")} for files in (drawn, other)]
        assert pictures[0].isdisjoint(pictures[1])

    def test_default_size(self):
        counts = Counter(plan.subset for plan in vehicle_images(SyntheticVehicles()))
        files = sum(counts.values()) + counts["query"]
        assert 2000 <= files <= 3500
        assert 1200 <= counts["train"] <= 1600

    def test_light_changes_from_picture_to_picture(self):
        """The same shots without and with changing light: each gets brighter or darker by its share."""

        def means(lighting: float) -> np.ndarray:
            same = {"lighting": lighting, "train_identities": 1, "test_identities": 1}
            pictures = draw_vehicles(SMALL.model_copy(update=same), processes=1)
            return np.array([np.asarray(Image.open(BytesIO(p.data))).mean() for p in pictures])

        dark = means(0.0)
        assert np.abs(np.log(means(0.02) / dark)).max() < 0.03
        shares = np.log(means(1.0) / dark)
        assert shares.min() < -0.1
        assert shares.max() > 0.1
        assert shares.std() > 0.12

    def test_strong_cameras_prefer_viewpoints(self):
        for strength, low, high in ((0.0, 0.12, 0.13), (1.0, 0.3, 1.0)):
            parameters = SyntheticVehicles(camera_strength=strength)
            chances = np.array([viewpoint_chances(parameters, camera) for camera in range(8)])
            assert chances.sum(axis=1) == pytest.approx(1.0)
            assert low < chances.max(axis=1).mean() < high


def shot_at(angle: float, pitch: float = 10.0) -> VehicleShot:
    return VehicleShot(
        stand=Stand(angle, pitch, 12.0),
        viewpoint=viewpoint_at(angle),
        framing=Framing(0.9, (0.0, 0.0), (0.0, 0.0, 1.2), 1.0, "", 0.5, 0),
        neighbour_shift=(0.5, -0.1),
    )


@cache
def vehicle_of(kind: str) -> Vehicle:
    seeds = (draw_vehicle_identity(np.random.default_rng(seed)) for seed in range(1000))
    return next(vehicle for vehicle in seeds if vehicle.type == kind)


@cache
def model_by(kind: str) -> Model:
    return model_of(vehicle_of(kind))


class TestView:
    @pytest.mark.parametrize(
        ("angle", "viewpoint"),
        [
            (0, FRONT), (20, FRONT), (340, FRONT), (30, LEFT_FRONT), (45, LEFT_FRONT), (90, LEFT),
            (135, LEFT_REAR), (180, REAR), (225, RIGHT_REAR), (250, RIGHT),
            (270, RIGHT), (315, RIGHT_FRONT), (359, FRONT),
        ],
    )  # fmt: skip
    def test_viewpoints_by_angle(self, angle, viewpoint):
        assert viewpoint_at(angle) == viewpoint

    def test_every_viewpoint_has_an_angle(self):
        assert [viewpoint_at(angle_of(number)) for number in range(8)] == list(range(8))

    def test_where_points_fall(self):
        """Ahead of the vehicle its left is at the picture's right; at its left its front is at the left."""
        front, left, top = np.array([[2.0, 0, 0]]), np.array([[0, 1.0, 0]]), np.array([[0, 0, 1.0]])
        ahead, beside = Stand(0.0, 0.0, 10.0), Stand(90.0, 0.0, 10.0)
        assert look_at(left, ahead, middle=0.0)[0] == pytest.approx([0.1, 0.0, 0.0])
        assert look_at(front, ahead, middle=0.0)[0] == pytest.approx([0.0, 0.0, 2.0])
        assert look_at(front, beside, middle=0.0)[0] == pytest.approx([-0.2, 0.0, 0.0])
        assert look_at(top, beside, middle=0.0)[0] == pytest.approx([0.0, -0.1, 0.0])
        assert look_at(left, beside, middle=0.0)[0] == pytest.approx([0.0, 0.0, 1.0])

    def test_nearer_things_are_larger(self):
        points = np.array([[2.0, 1.0, 0.0], [-2.0, 1.0, 0.0]])
        near, far = look_at(points, Stand(0.0, 0.0, 10.0), middle=0.0)
        assert near[0] == pytest.approx(1.0 / 8.0)
        assert far[0] == pytest.approx(1.0 / 12.0)

    @pytest.mark.parametrize("kind", TYPES)
    def test_each_side_shows_its_key_points(self, kind):
        """Points from 1: wheels 1, 2 left and 3, 4 right; lamps 7, 8 ahead; tail lamps 17, 18 behind."""
        model = model_by(kind)
        shown = {}
        for viewpoint in range(8):
            points = np.array(key_points_of(model, shot_at(angle_of(viewpoint)))).reshape(20, 2)
            shown[viewpoint] = {n + 1 for n in range(20) if points[n, 0] >= 0}
        sides = {
            "left": ({1, 2}, {LEFT, LEFT_FRONT, LEFT_REAR}),
            "right": ({3, 4}, {RIGHT, RIGHT_FRONT, RIGHT_REAR}),
            "front": ({7, 8}, {FRONT, LEFT_FRONT, RIGHT_FRONT}),
            "rear": ({17, 18}, {REAR, LEFT_REAR, RIGHT_REAR}),
        }
        for points, viewpoints in sides.values():
            for viewpoint, found in shown.items():
                assert found & points == (points if viewpoint in viewpoints else set()), viewpoint

    @pytest.mark.parametrize("kind", TYPES)
    def test_left_and_right_are_mirror_images(self, kind):
        """The left wheels seen from the left stand where the right ones stand, mirrored, from the right."""
        model = model_by(kind)
        left = np.array(key_points_of(model, shot_at(90.0))).reshape(20, 2)[:2]
        right = np.array(key_points_of(model, shot_at(270.0))).reshape(20, 2)[2:4]
        assert np.abs(left[:, 0] - (127 - right[:, 0])).max() <= 1
        assert (left[:, 1] == right[:, 1]).all()
        assert left[0, 0] < left[1, 0], "from the left, the front is at the left"


class TestSolids:
    def test_a_box_faces_outwards(self):
        solid = box((1.0, -2.0), (-0.5, 1.5), (0.0, 1.0))
        surfaces = solid.surfaces((1, 2, 3))
        normals = sorted(tuple(np.round(normal_of(s.corners)).astype(int)) for s in surfaces)
        assert normals == [(-1, 0, 0), (0, -1, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
        corners = np.concatenate([surface.corners for surface in surfaces])
        assert corners.min(axis=0).tolist() == [-2.0, -0.5, 0.0]
        assert corners.max(axis=0).tolist() == [1.0, 1.5, 1.0]

    def test_edges_of_an_outline(self):
        """A wedge: front from (2, 0) up to (1, 1), flat to (-1, 1), rear straight down; narrower above."""
        solid = Solid([(2, 0, 1.0), (1, 1, 0.5), (-1, 1, 0.5), (-1, 0, 1.0)])
        assert solid.front_at(0.5) == pytest.approx(1.5)
        assert solid.rear_at(0.5) == pytest.approx(-1.0)
        assert solid.half_at(0.25) == pytest.approx(0.875)
        assert solid.top_at(0.0) == pytest.approx(1.0)

    @pytest.mark.parametrize("kind", TYPES)
    def test_outlines_are_convex_enough_to_hide_their_own_far_side(self, kind):
        """From any side a solid's visible surfaces cover the picture of its corners at most once."""
        model = model_by(kind)
        for solid in (model.frame.body, model.frame.house):
            for angle in (0.0, 40.0, 90.0, 200.0):
                stand = Stand(angle, 12.0, 14.0)
                flat = [look_at(s.corners, stand, middle=0.5)[:, :2] for s in solid.surfaces((0, 0, 0))]
                areas = [shoelace(corners) for corners in flat]
                seen = sum(area for area in areas if area > 0)
                assert seen <= 1.06 * shoelace(hull(np.concatenate(flat)))

    def test_all_pieces_lie_within_the_vehicle(self):
        for kind in TYPES:
            model = model_by(kind)
            reach = np.array([model.frame.half_length, model.frame.half_width, model.frame.height])
            assert (np.abs(model.corners[:, :2]) <= reach[:2] + np.array([0.06, 0.3])).all(), kind
            assert model.corners[:, 2].min() >= -1e-9
            assert model.corners[:, 2].max() <= reach[2] + 0.35


def shoelace(corners: np.ndarray) -> float:
    """Area of a polygon [n, 2] with y downwards, positive if counterclockwise to the viewer."""
    x, y = corners[:, 0], -corners[:, 1]
    return float(sum(x[i - 1] * y[i] - x[i] * y[i - 1] for i in range(len(x))) / 2)


def hull(points: np.ndarray) -> np.ndarray:
    from scipy.spatial import ConvexHull

    corners = points[ConvexHull(points).vertices]
    return corners if shoelace(corners) > 0 else corners[::-1]


class TestPicture:
    def test_paint_is_seen_from_every_side(self):
        camera = draw_camera(np.random.default_rng(1), strength=0.0)
        for viewpoint in range(8):
            centres = {}
            for name, paint in (("red", (190, 30, 30)), ("blue", (30, 60, 190))):
                vehicle = replace(vehicle_of("sedan"), paint=paint, roof=paint, stickers=(), stripe=None)
                shot = shot_at(angle_of(viewpoint))
                image = draw_vehicle(model_of(vehicle), camera, shot, np.random.default_rng(0))
                centres[name] = np.asarray(image)[30:70, 30:98].reshape(-1, 3).mean(axis=0)
            assert centres["red"][0] > centres["red"][2] + 25
            assert centres["blue"][2] > centres["blue"][0] + 25

    def test_tail_lamps_are_red_behind_and_headlamps_white_ahead(self):
        camera = draw_camera(np.random.default_rng(1), strength=0.0)
        green = replace(vehicle_of("sedan"), paint=(40, 120, 70), roof=(40, 120, 70), stickers=(), stripe=None)
        model = model_of(green)
        for viewpoint, point, wanted in ((REAR, 17, "red"), (FRONT, 7, "white")):
            shot = shot_at(angle_of(viewpoint))
            image = np.asarray(draw_vehicle(model, camera, shot, np.random.default_rng(0))).astype(int)
            x, y = key_points_of(model, shot)[2 * point - 2 : 2 * point]
            red, green_, blue = image[y, x]
            assert red > green_ + 60 if wanted == "red" else min(red, green_, blue) > 150

    def test_a_sticker_shows_from_its_side_only(self):
        camera = draw_camera(np.random.default_rng(1), strength=0.0)
        plain = replace(vehicle_of("sedan"), stickers=(), stripe=None)
        marked = replace(plain, stickers=(Sticker("left", (0.0, 0.0), (0.6, 0.3), (250, 250, 250), None),))
        for viewpoint, differs in ((LEFT, True), (RIGHT, False), (FRONT, False), (REAR, False)):
            shot = shot_at(angle_of(viewpoint))
            pictures = [
                np.asarray(draw_vehicle(model_of(v), camera, shot, np.random.default_rng(0))) for v in (plain, marked)
            ]
            assert bool((pictures[0] != pictures[1]).any()) is differs


PEOPLE = SyntheticBenchmark(
    seed=11,
    num_cameras=3,
    train_identities=1,
    test_identities=1,
    cameras_per_identity=(2, 2),
    images_per_camera=(2, 2),
    tracklet_length=2,
    places_per_camera=3,
    distractors=2,
    junk=2,
    camera_strength=0.8,
    lighting=0.6,
    identity_spread=1.2,
    occlusion=0.6,
    crowding=0.5,
    misalignment=0.8,
    jpeg_quality=(60, 95),
)
PEOPLE_HASH = "43e609ab0adf7293abc99e10e5afee922013db9b6a6d7af4ae065ed317b1ed68"
PEOPLE_IN_LITTLE = {
    "bounding_box_test/-1_c1s3_030000_03.jpg": "584f555f5a58757874666e5b6b6551696a5078775d546042",
    "bounding_box_test/-1_c3s3_030007_05.jpg": "191727765853191f1a668dc53f3d37596d871d0f267f8f95",
    "bounding_box_test/0000_c2s4_030007_03.jpg": "765f56886d62b919189e3e39720b21933b3e4e143f96545b",
    "bounding_box_test/0000_c3s4_030000_03.jpg": "e2aaa7af7f93bfb8aca7a4a98aaf94648f6088b48f548c46",
    "bounding_box_test/0002_c1s3_014632_03.jpg": "817c77605f66909a897074855d695b87847051634c818869",
    "bounding_box_test/0002_c2s3_015188_03.jpg": "686a554542539583947c5c6c9a8993b49b8cad8e999e8592",
    "bounding_box_train/0001_c2s2_000857_03.jpg": "434e1936452b505b146263223a541e45601f2d5310376118",
    "bounding_box_train/0001_c2s2_000886_06.jpg": "5b7c3c506d4b6a90378b8a46538b444e853c3b7a254b9032",
    "bounding_box_train/0001_c3s2_005530_02.jpg": "3a241b5838251c100e352e134943311f1d114b43301f2314",
    "bounding_box_train/0001_c3s2_005548_02.jpg": "7e6776b6968d5461426674488c939b495a4a8295954b6951",
    "query/0002_c1s3_014592_00.jpg": "5a4d43666a5a607368408283717b713f79793c4935507a75",
    "query/0002_c2s3_015176_00.jpg": "546b6b3c496c7c7fa0645c7e7e7fa68b938c948eb1918ea6",
}
"""Two by four pixels of each picture, as drawn before vehicles shared canvas, cameras and occluders."""


def test_people_are_drawn_as_before_vehicles_were():
    """By the hash where the processor rounds as ours did; by the pictures in little where it does not."""
    images = draw_benchmark(PEOPLE, processes=1)
    assert list(images) == list(PEOPLE_IN_LITTLE)
    if digest(images) == PEOPLE_HASH:
        return
    for path, data in images.items():
        little = Image.open(BytesIO(data)).convert("RGB").resize((2, 4), Image.Resampling.BOX)
        before = np.frombuffer(bytes.fromhex(PEOPLE_IN_LITTLE[path]), dtype=np.uint8).reshape(4, 2, 3)
        assert np.abs(np.asarray(little).astype(int) - before.astype(int)).max() <= 1, path
